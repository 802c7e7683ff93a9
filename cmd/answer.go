package cmd

import (
	"encoding/json"
	"os"
	"strings"

	"github.com/hookloom/hookloom/engine"
	"github.com/spf13/cobra"
)

// answering is the answer to a question, as set by flags.
type answering struct {
	step, by, comment, review, result string
	reject, link                      bool
}

// order returns the body of the API request.
func (x *answering) order() (map[string]any, error) {
	verdict := "approve"
	switch {
	case x.reject && x.review != "":
		return nil, usageError("--reject answers an approval, --review an attempt whose outcome is unknown: use only one of them")
	case x.reject:
		verdict = "reject"
	case x.review != "":
		if x.review != "resend" && x.review != "done" && x.review != "fail" {
			return nil, usageError("--review %s: resend, done or fail", x.review)
		}
		verdict = x.review
	}
	if x.link {
		if x.reject || x.review != "" || x.comment != "" || x.result != "" {
			return nil, usageError("--link can be combined only with --step and --by: the person who opens the link gives the answer")
		}
		return map[string]any{"step": x.step, "by": x.by, "link": true}, nil
	}
	order := map[string]any{"step": x.step, "verdict": verdict, "by": x.by, "comment": x.comment}
	if x.result != "" {
		if verdict != "done" || !json.Valid([]byte(x.result)) {
			return nil, usageError("--result needs --review done, and must be JSON")
		}
		order["result"] = json.RawMessage(x.result)
	}
	return order, nil
}

func (a *app) approveCmd() *cobra.Command {
	var at place
	var x answering
	c := &cobra.Command{Use: "approve RUN", Short: "Approve or reject a waiting run, through the running server",
		Args: cobra.ExactArgs(1),
		Long: aboutApprove,
		Example: "  HOOKLOOM_TOKEN=$ADA_TOKEN hookloom approve run_0d3c6f2a41e00000\n" +
			"  hookloom approve run_0d3c6f2a41e00000 --by ada --link\n" +
			"  hookloom approve run_0d3c6f2a41e00000 --reject --comment 'wrong amount'\n" +
			"  hookloom approve run_0d3c6f2a41e00000 --step 2/charge --review done --result '{\"id\": 7}'",
		RunE: func(c *cobra.Command, args []string) error {
			if _, err := engine.ParseRunID(args[0]); err != nil {
				return usageError("%v", err)
			}
			order, err := x.order()
			if err != nil {
				return err
			}
			l, err := at.load()
			if err != nil {
				return err
			}
			var out map[string]string
			if err := adminCall(c.Context(), l, "POST", "/api/v1/runs/"+args[0]+"/approve", order, &out); err != nil {
				return err
			}
			if a.json() {
				return a.printJSON(out)
			}
			if x.link {
				url := out["link"]
				if strings.HasPrefix(url, "/") { // server.public_url is not set
					url = l.hooksURL() + url
				}
				a.printf("%s\n", url)
				return nil
			}
			a.printf("%s  %s: %s\n  %s\n", args[0], out["step"], out["verdict"], printable(out["question"]))
			return nil
		}}
	at.flags(c.Flags())
	c.Flags().StringVar(&x.step, "step", "", "the step, if several wait")
	c.Flags().StringVar(&x.by, "by", os.Getenv("USER"), "who answers")
	c.Flags().StringVar(&x.comment, "comment", "", "why")
	c.Flags().BoolVar(&x.link, "link", false, "print a signed link for the person in --by")
	c.Flags().BoolVar(&x.reject, "reject", false, "refuse instead")
	c.Flags().StringVar(&x.review, "review", "", "resend, done or fail, for an attempt whose outcome is unknown")
	c.Flags().StringVar(&x.result, "result", "", "with --review done: the attempt's output, as JSON")
	return c
}

const aboutApprove = `Approves a step with wait: {approval: ...}; with --reject, rejects it, which fails the
step. A step with on_unknown: review also waits when its attempt was interrupted:
--review resend repeats the attempt with the same idempotency key, done treats it as
successful (--result is the output that later steps see, as JSON), fail fails it. Each
question can be answered once.

If the step has by:, the name must be proved: by that person's token (server:
{tokens: {ada: ...}} in hookloom.yaml, set as HOOKLOOM_TOKEN), or by a signed link.
Otherwise --by is recorded but not checked.

--link does not answer: it prints a signed link with which the person in --by can answer
this one question, once. The link uses the hooks address.`
