package workflows

// eachExpr calls visit for every expression of a workflow, including those of its own trigger.
func (w *Workflow) eachExpr(visit func(*Expr)) {
	for _, v := range w.Vars {
		v.Value.exprs(visit)
	}
	w.Output.exprs(visit)
	eachStep(w.Steps, func(s *Step) { s.exprs(visit) })
	eachStep(w.OnFailed, func(s *Step) { s.exprs(visit) })
	eachStep(w.Finally, func(s *Step) { s.exprs(visit) })
	if w.Trigger != nil {
		w.Trigger.exprs(visit)
	}
}

func (t *Trigger) exprs(visit func(*Expr)) {
	if t.Poll != nil {
		t.Poll.Request.exprs(visit)
		t.Poll.Detail.exprs(visit)
	}
	if t.Webhook == nil {
		return
	}
	if t.Webhook.Reconcile != nil {
		t.Webhook.Reconcile.Request.exprs(visit)
		t.Webhook.Reconcile.Detail.exprs(visit)
	}
	for _, v := range append(append([]*Value{t.Webhook.Params}, t.Webhook.Secrets...), t.Webhook.Auth.values()...) {
		v.exprs(visit)
	}
}

func (s *Step) exprs(visit func(*Expr)) {
	s.With.exprs(visit)
	s.Output.exprs(visit)
	s.Text.exprs(visit)
	s.Sleep.exprs(visit)
	for _, one := range s.Wait.Choices() {
		one.Approval.exprs(visit)
		one.Key.exprs(visit)
	}
	for _, v := range s.Set {
		v.Value.exprs(visit)
	}
}

func eachStep(list []*Step, visit func(*Step)) {
	for _, s := range list {
		visit(s)
		eachStep(s.Steps, visit)
		eachStep(s.Else, visit)
		eachStep(s.Default, visit)
		eachStep(s.Parallel, visit)
		eachStep(s.OnFailure, visit)
		for _, c := range s.Cases {
			eachStep(c.Steps, visit)
		}
	}
}

// EachStep calls visit for every step, including those in groups and handlers.
func (w *Workflow) EachStep(visit func(*Step)) {
	eachStep(w.Steps, visit)
	eachStep(w.OnFailed, visit)
	eachStep(w.Finally, visit)
}
