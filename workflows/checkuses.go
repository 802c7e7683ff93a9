package workflows

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/spelling"
	"github.com/hookloom/hookloom/workflows/value"
)

// uses checks an action's name and inputs against its spec.
func (s *stepChecker) uses(st *Step, sc *expr.Scope) {
	src := s.w.src
	st.Spec = s.c.catalog.Actions.Get(st.Uses)
	own := sc.In("with").With("secrets", expr.AnySecret)
	st.With.check(own)
	at := st.usesPos(src)
	if st.Spec == nil && slices.Contains(laterActions, st.Uses) {
		src.add(at, "not-yet", fmt.Sprintf("%s is not available yet", st.Uses),
			"hookloom actions lists the available actions")
		return
	}
	if st.Spec == nil {
		connector, _, _ := strings.Cut(st.Uses, "/")
		if slices.Contains(s.c.p.brokenConnectors, connector) {
			return // the file could not be read, which was reported
		}
		hint := spelling.Suggest(st.Uses, namedActions(s.c.catalog.Actions))
		if foreign := foreignAction(st.Uses, s.c.catalog.Actions.Names()); foreign != "" {
			hint = foreign
		} else if file, ok := strings.CutPrefix(st.Uses, "./"); ok {
			hint = "to run another workflow write call: " + workflowID(strings.TrimPrefix(file, "workflows/"))
		} else if hint == "" {
			hint = cmp.Or(s.actionByWord(st.Uses), s.actionsLike(st.Uses))
		}
		src.add(at, "unknown-action", fmt.Sprintf("there is no action %q", st.Uses), hint)
		return
	}
	if st.With != nil && st.With.kind != mapValue && st.With.kind != constantValue {
		src.add(st.With.pos, "wrong-kind", "with is a map of inputs", "")
		return
	}
	s.with(st, at)
	if st.Retry == nil && st.Spec.Retry != nil {
		st.Retry = st.Spec.Retry
	}
	if st.Timeout == 0 {
		st.Timeout = st.Spec.Timeout
	}
	if st.Timeout == 0 {
		st.Timeout = DefaultActionTimeout
	}
}

// namedActions returns the names of the actions whose connector has a name too.
func namedActions(all *Actions) []string {
	return slices.DeleteFunc(all.Names(), func(name string) bool { return strings.HasPrefix(name, "/") })
}

// actionByWord proposes the action of a connector whose name is one of the words of a method of its API: slack/post for
// slack/postMessage or slack/chat.postMessage.
func (s *stepChecker) actionByWord(name string) string {
	head, method, _ := strings.Cut(name, "/")
	var fits []string
	for _, known := range s.c.catalog.Actions.Names() {
		action, own := strings.CutPrefix(known, head+"/")
		if own && slices.Contains(wordsOf(method), action) {
			fits = append(fits, known)
		}
	}
	if len(fits) != 1 {
		return ""
	}
	return "write uses: " + fits[0]
}

// wordsOf splits a name such as chat.postMessage into its words.
func wordsOf(name string) []string {
	var spaced strings.Builder
	for _, r := range name {
		if unicode.IsUpper(r) {
			spaced.WriteByte(' ')
		}
		spaced.WriteRune(unicode.ToLower(r))
	}
	return strings.FieldsFunc(spaced.String(), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

// actionsLike lists a connector's actions if only the last part of the name is wrong.
func (s *stepChecker) actionsLike(name string) string {
	head, _, found := strings.Cut(name, "/")
	if !found {
		return "actions are named connector/action, such as http/post"
	}
	var have []string
	for _, n := range s.c.catalog.Actions.Names() {
		if strings.HasPrefix(n, head+"/") {
			have = append(have, n)
		}
	}
	if len(have) == 0 {
		return "hookloom actions lists them"
	}
	if len(have) > 8 {
		return fmt.Sprintf("hookloom actions %s lists its %d actions", head, len(have))
	}
	return "it has " + strings.Join(have, ", ")
}

func (st *Step) usesPos(src *source) Pos {
	for n := st.Pos.Line; n < st.Pos.Line+40; n++ {
		if i := strings.Index(src.line(n), st.Uses); i >= 0 && strings.Contains(src.line(n), "uses") {
			return Pos{n, len([]rune(src.line(n)[:i])) + 1, len([]rune(st.Uses))}
		}
	}
	return st.Pos
}

func (s *stepChecker) with(st *Step, at Pos) {
	src := s.w.src
	var names []string
	for _, in := range st.Spec.Inputs {
		names = append(names, in.Name)
	}
	if st.Spec.Needs() != nil {
		names = append(names, "connection")
	}
	given, other := st.With.fields(), map[string]bool{}
	for _, f := range given {
		in := st.Spec.Input(f.name)
		if in == nil {
			if f.name == "connection" && st.Spec.Needs() != nil {
				continue
			}
			hint := spelling.Suggest(f.name, names)
			if said, meant := foreignInput(st.Uses, f.name); said != "" && st.Spec.Connector == nil {
				hint, other[meant] = said, true
			}
			if meant := sameMeaning(f.name, names, given); meant != "" && hint == "" {
				hint, other[meant] = "write "+meant+":", true
			}
			hint = cmp.Or(methodOfAction(st.Uses, f.name), hint, "known are "+strings.Join(names, ", "))
			src.add(f.value.keyPos(src, f.name), "unknown-input", fmt.Sprintf("%s has no input %q", st.Uses, f.name), hint)
			continue
		}
		f.value.takeBytes(in.Fill)
		if own := in.Name == "auth" && st.Spec.Connector == nil && !s.c.stored; !own && s.wrongKind(in, f.value) {
			continue // stepAuth reports auth
		}
		if v, constant := f.value.IsConstant(); constant {
			s.constantInput(st, in, f.value, v)
		} else if in.Literal != "" {
			s.literalInput(st, in, f.value)
		}
	}
	for _, in := range st.Spec.Inputs {
		if in.Required && !st.misspelt && !other[in.Name] && !hasField(given, in.Name) {
			src.add(at, "missing-input", fmt.Sprintf("%s: input %s is missing", st.Uses, in.Name), missingHint(in.Name, in.sample(), in.Help, given))
		}
	}
	s.urlSecrets(st)
	s.signed(st)
	s.httpInputs(st)
	s.answerSize(st)
	s.keptInputs(st)
	s.emits(st)
	s.savedAnswer(st)
	s.sentFile(st)
	s.rawPath(st)
}

// literalInput refuses expressions in code: in a text, or in the statement: entries of a list.
func (s *stepChecker) literalInput(st *Step, in *ActionInput, v *Value) {
	refuse := func(v *Value) {
		s.w.src.add(v.pos, "not-literal", fmt.Sprintf("%s of %s is code: ${{ }} is not allowed in it", in.Name, st.Uses), in.Literal)
	}
	if in.Type != "list" || v.kind != listValue {
		refuse(v)
		return
	}
	for _, x := range v.list {
		code := x.Field("statement")
		if _, constant := code.IsConstant(); x.kind == exprValue || x.kind == textValue || code != nil && !constant {
			refuse(x)
		}
	}
}

func (s *stepChecker) constantInput(st *Step, in *ActionInput, at *Value, v any) {
	src := s.w.src
	if v == nil {
		s.nothingGiven(st.Uses, in.Name, in.Required, at)
		return
	}
	if in.Type == "string" {
		// In a text, numbers and booleans are converted.
		if t, ok := v.(string); ok && len(in.Words) > 0 && !slices.Contains(in.Words, t) {
			src.add(at.pos, "unknown-word", fmt.Sprintf("%s %q is not known", in.Name, t), spelling.SuggestOr(t, in.Words))
		} else if ok && in.Parse != nil && !s.c.stored {
			if err := in.Parse(t); err != nil {
				src.add(at.pos, "bad-program", fmt.Sprintf("%s of %s cannot be read: %v", in.Name, st.Uses, err), "")
			}
		}
		return
	}
	if in.Name == "auth" && st.Spec.Connector == nil && !s.c.stored {
		return // stepAuth reports it
	}
	if p := checkType(in.Type, v); p != "" {
		src.add(at.pos, "wrong-type", fmt.Sprintf("%s must be %s %s: %s", in.Name, article(in.Type), in.Type, p), typeHint(in, v))
	}
}

// typeHint returns how a value of an input's type is written, or "".
func typeHint(in *ActionInput, v any) string {
	text, isText := v.(string)
	if number, err := value.Text(v); err == nil && !isText {
		switch in.Type {
		case "duration":
			return durationHint(number)
		case "size":
			return sizeHint(number, in.Name)
		}
	}
	switch {
	case !isText:
		return ""
	case in.Name == "save":
		return "write save: true; the output's path says where the file is"
	case in.Type == "boolean":
		return "write true or false"
	case in.Type == "duration":
		return durationHint(text)
	case in.Type == "size":
		return sizeHint(text, in.Name)
	case in.Type == "integer":
		if _, err := strconv.ParseInt(text, 10, 64); err == nil {
			return "write it without quotes: " + text
		}
	}
	return ""
}

// nothingGiven refuses null for a required input. The usual cause is a value that YAML reads as a
// comment: channel: #sales.
func (s *stepChecker) nothingGiven(of, name string, required bool, at *Value) {
	if at.broken {
		return
	}
	src := s.w.src
	key := at.keyPos(src, name)
	line := src.line(key.Line)
	runes := []rune(line)
	rest := strings.TrimSpace(string(runes[min(key.Column-1+len([]rune(name)), len(runes)):]))
	comment := strings.TrimSpace(strings.TrimPrefix(rest, ":"))
	if strings.HasPrefix(comment, "#") && len(comment) > 1 && comment[1] != ' ' {
		d := decoder{source: src}
		from := strings.LastIndex(line, comment)
		p := d.posAt(src.offset(key.Line, 1)+from, len([]rune(comment)))
		src.report(p, "yaml-comment", !required ||
			s.c.stored, "YAML reads this as a comment, so "+name+" is empty",
			"put it in quotes: "+quoted(strings.TrimRight(comment, " ")))
		return
	}
	if required && !s.c.stored {
		src.add(key, "missing-input", fmt.Sprintf("%s: input %s is null, and it must have a value", of, name), "")
	}
}

// missingHint returns the line to add for a missing input, with a value of its type, and the
// input's help.
func missingHint(name string, sample any, help string, given []namedValue) string {
	line := fmt.Sprintf("%s: %s", name, YAMLText(sample))
	if len(given) == 0 {
		line = fmt.Sprintf("with: {%s}", line)
	} else {
		line += " under with:"
	}
	if help == "" {
		return "add " + line
	}
	return fmt.Sprintf("add %s (%s)", line, help)
}
