package expr_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/expr-lang/expr/types"
	"github.com/hookloom/hookloom/workflows/expr"
)

// meantScope has the names of a step in a loop whose item is named line.
func meantScope() *expr.Scope {
	names := types.Map{"event": expr.EventType(types.Any), "run": expr.RunType(), "line": types.Any, "index": expr.Int,
		"error": expr.ErrorType(), "secrets": expr.AnySecret, "steps": types.Map{"send_mail": expr.StepType()}}
	return &expr.Scope{Where: "a test", Names: names, Item: "line", HiddenSteps: map[string]string{"fetc": "it runs later, on line 4"}}
}

// TestHintMeansWhatWasWritten checks the hint of the first mistake, and that what it says to write
// has no mistake of its own where it is a complete expression.
func TestHintMeansWhatWasWritten(t *testing.T) {
	for text, want := range map[string]string{
		`event.data.a is not nil`:                                  `write event.data.a != nil`,
		`event.data.a is nil`:                                      `write event.data.a == nil`,
		`event.data.a is not defined`:                              `write event.data.a == nil`,
		`event.data.a is not empty`:                                `write len(event.data.a) > 0`,
		`event.data.d is nil && event.data.e === 1 && not event.a`: `write event.data.d == nil`,
		`event.data.e === 1 && event.data.d <> 1`:                  `compare with ==`,
		`event.data.g <> 2 && event.data.e === 1`:                  `compare with !=`,
		`event.data.a => 2`:                                        `compare with >=`,
		`event.data.a != "paid" or "open"`:                         `write event.data.a not in ["paid", "open"]`,
		`event.data.a == "paid" or "open" or "late"`:               `write event.data.a in ["paid", "open", "late"]`,
		`event.data.a == "paid" || "open"`:                         `write event.data.a in ["paid", "open"]`,
		`event.data.a != "paid" and "open"`:                        `write event.data.a not in ["paid", "open"]`,
		`event.data.x == 1 and event.data.a == "paid" or "open"`:   `write event.data.a in ["paid", "open"]`,
		`event.data.a contains "x" or "y"`:                         `write event.data.a contains "x" or event.data.a contains "y"`,
		`event.data.a > 5 and 3`:                                   `write event.data.a > 5 and event.data.a > 3`,
		`event.data.a || "open"`:                                   `for a default write event.data.a ?? "open"; || is for conditions`,
		`github.event_name == "push"`:                              `write event.type; with an action it is such as pull_request.opened`,
		`github.actor == "a"`:                                      `write event.data.sender.login`,
		`github.ref == "a"`:                                        `write event.data.ref (of a push)`,
		`github.sha == "a"`:                                        `write event.data.after (of a push)`,
		`github.ref_name == "a"`:                                   `write trimPrefix(event.data.ref, "refs/heads/") (of a push to a branch)`,
		`github.repository == "a"`:                                 `write event.data.repository.full_name`,
		`github.event.action == "a"`:                               `write event.data.action`,
		`github.run_id == "a"`:                                     `write run.id`,
		`github.unknown == "a"`:                                    `github.event is event.data here`,
		`$json.body.x == 1`:                                        `write event.data.x`,
		`$json["headers"]["x-a"] == "1"`:                           `write event.headers["x-a"]`,
		`$json.x == 1`:                                             `write event.data.x`,
		`event_name == "push"`:                                     `write event.type`,
		`event.event_name == "push"`:                               `write event.type`,
		`randomInt(1, 5) == 1`:                                     `there are no random numbers; uuid() is a unique text`,
		`pointed(1) == 1`:                                          `hookloom functions lists them`,
		`uper("a") == "A"`:                                         `did you mean "upper"?`,
		`event.data.a > 5; event.data.b == 1`:                      `write && between conditions`,
		`lower(event.data["id") == "1"`:                            `add ]`,
		`lower(event.data.id)) == "1"`:                             `remove )`,
		`item.sku == "a"`:                                          `write line.sku`,
		`item["a b"].c == "a"`:                                     `write line["a b"].c`,
		`event.headers.x-foo == "a"`:                               `write event.headers["x-foo"]`,
		`event.headers.x-request-id == "a"`:                        `write event.headers["x-request-id"]`,
		`event.headers.content-type == "a"`:                        `write event.headers["content-type"]`,
		`event.data.first-name.x == "a"`:                           `write event.data["first-name"]`,
		`event.data?.first-name == "a"`:                            `write event.data["first-name"]`,
		`event.data.first name == "a"`:                             `write event.data["first name"]`,
		`secrets.orders-secret == "a"`:                             `names of secrets consist of A-Z, 0-9 and _: write secrets.ORDERS_SECRET`,
		`steps.send-mail.status == "a"`:                            `names here consist of letters, digits and _: write steps.send_mail`,
		`steps.fetch.status == "a"`:                                `did you mean "fetc"? But it runs later, on line 4`,
		`event.data.cur == eur`:                                    `put text in quotes: "eur"`,
		`event.type == payment_intent.succeeded`:                   `put text in quotes: "payment_intent.succeeded"`,
		`event.type == past-due`:                                   `put text in quotes: "past-due"`,
		`event.type in [eur, usd]`:                                 `put text in quotes: "eur"`,
		`event.data.x == yes`:                                      `write true, or for the text: "yes"`,
		`event.data.x == evnt.type`:                                `did you mean "event"?`,
		`event.data.x == none`:                                     `write nil`,
		`event.data.x in (1, 2)`:                                   `write in [1, 2]`,
		`event.data.x ends with "a"`:                               `write event.data.x endsWith "a"`,
		`event.data.x starts with "a" and true`:                    `write event.data.x startsWith "a"`,
		`matches(event.data.x, "a")`:                               `matches is an operator: write event.data.x matches "a"`,
		`in(event.data.x, [1, 2])`:                                 `in is an operator: write event.data.x in [1, 2]`,
		`regex(event.data.x, "a")`:                                 `write text matches "pattern", or match(text, "pattern") for its groups`,
		`typeof(event.data.x) == "a"`:                              `write type(value)`,
		`typeof event.data.x == "a"`:                               `write type(event.data.x)`,
		`jsonParse(event.data.x) == 1`:                             `write fromJSON(text)`,
		`now > event.time`:                                         `write now()`,
		`uuid == "x"`:                                              `write uuid()`,
		`yes`:                                                      `write true`,
		`status >= 500`:                                            `write error.status`,
	} {
		found := (&expr.Expr{Text: text}).Check(meantScope(), reflect.Bool)
		if len(found) == 0 || found[0].Hint != want {
			t.Errorf("%s: %v, want %s", text, found, want)
			continue
		}
		write, ok := strings.CutPrefix(strings.Split(want, " (of a ")[0], "write ")
		if !ok || strings.ContainsAny(write, ";:,") && !strings.Contains(write, "[") || wholeAdvice[write] {
			continue
		}
		if again := (&expr.Expr{Text: write}).Check(meantScope(), reflect.Invalid); len(again) > 0 {
			t.Errorf("%s: %s is a mistake too: %v", text, write, again)
		}
	}
}

// wholeAdvice is advice that is no expression.
var wholeAdvice = map[string]bool{"&& between conditions": true, "in [1, 2]": true, "type(value)": true, "fromJSON(text)": true,
	`text matches "pattern", or match(text, "pattern") for its groups`: true}

// TestSecondExpressionIsAllowedInStoredVersions checks that a stored workflow with ; continues to run.
func TestSecondExpressionIsAllowedInStoredVersions(t *testing.T) {
	sc := meantScope()
	sc.Lenient = true
	if found := (&expr.Expr{Text: `event.data.a; event.data.b == 1`}).Check(sc, reflect.Bool); len(found) > 0 {
		t.Error(found)
	}
}
