package workflows

import "embed"

// A MistakeCode is a code of a Mistake, as hookloom validate reports it.
type MistakeCode struct {
	Code, Meaning string
	// example is a case of testdata/mistakes that has this mistake; empty for none.
	example string
}

// mistakeCodes are all codes, sorted. TestEachCodeOfAMistakeIsExplained finds those that are missing.
var mistakeCodes = []MistakeCode{
	{"alias", "An alias (`*name`) refers to a map or list that contains it.", "alias_of_itself"},
	{"arguments", "A function is called with the wrong number or the wrong types of arguments.", "expr_argument_count"},
	{"bad-address", "A value is not an address, URL, host, origin or CIDR block.", "admin_url"},
	{"bad-cron", "A cron expression is not valid, or is never due.", "cron_bad"},
	{"bad-expression", "An expression cannot be compiled, or a constant one fails.", "var_of_project_computed"},
	{"bad-folder", "A folder is not a relative path inside the project.", "files_folder"},
	{"bad-name", "A name has characters that names cannot have. Names that expressions use consist of lower-case letters, digits and `_`.",
		"name_with_dash"},
	{"bad-path", "A path is not valid, or leads out of where it has to stay.", "raw_file_outside"},
	{"bad-program", "The jq program of a step is not valid.", "jq_program"},
	{"bad-regexp", "A regular expression is not valid ([RE2 syntax](https://github.com/google/re2/wiki/Syntax)).", "regexp_bad"},
	{"bad-schema", "A JSON Schema is not valid, or uses what is not supported.", "schema_bad"},
	{"bad-time", "A time in a test or in `sleep: {until: ...}` is not RFC 3339.", "test_now"},
	{"batch-type", "Event types are selected in deliveries that may hold several events: only the first one's type counts.",
		"event_in_batch"},
	{"brackets", "`{{ }}` at the start of a plain value is a nested map in YAML. Expressions are written `${{ }}`.", "brackets_double"},
	{"by-content", "Nothing in a delivery identifies its event, so equal deliveries within a short time are one event.", "key_left_out"},
	{"circle", "A workflow calls itself, directly or through others.", "call_circle"},
	{"computed-secret", "A secret is read by a computed name. Names of secrets must be known when the file is loaded.", "secret_computed"},
	{"constant-condition", "A condition reads no value, so it is always the same.", "condition_constant"},
	{"credential-in-file", "A file of the project contains a credential, which everybody who can read the repository can read.",
		"credential_in_connection"},
	{"cron-surprise", "A cron expression is valid, but is due at other times than it seems.", "cron_day_and_weekday"},
	{"deadline", "A deadline ends before what it is for can end.", "deadline_shorter_than_timeout"},
	{"duplicate-id", "Two steps, schedules or files have the same id.", "id_twice"},
	{"duplicate-key", "A map has the same key twice.", "duplicate_key"},
	{"duplicate-name", "Two connectors have the same name.", "connector_twice"},
	{"duplicate-path", "Two triggers receive deliveries at the same path and method.", "path_twice"},
	{"emit-loop", "A workflow emits an event that starts the same workflow again.", "emit_loop"},
	{"empty", "A list or a text has to name something and is empty.", "secrets_command_empty"},
	{"env-variable", "A `$` in `.env` was expanded, so the secret has another value than the file seems to say.", "secret_with_dollar"},
	{"escaped-expression", "`$${{` is literal text. For a dollar sign before a value, write it as the warning says.",
		"foreign_dollar_price"},
	{"exclusive-keys", "Keys that exclude each other are used together, or none of them is there.", "save_head"},
	{"expression-in-key", "A key of a map contains an expression. Keys are literal.", "expression_in_key"},
	{"expression-in-literal", "A value that has to be literal contains an expression.", "expression_in_literal"},
	{"expression-syntax", "An expression cannot be parsed.", "expr_ends_early"},
	{"file", "A file cannot be read, is empty, too large, or not UTF-8.", "file_empty"},
	{"foreign-name", "A name of another tool is used. The message says what to write here.", "env_whole"},
	{"form-body", "A form's `Content-Type` is set, but the body is written as JSON.", "multipart_as_json"},
	{"half-wrapped", "Only a part of a condition is inside `${{ }}`. A condition is an expression already.", "half_wrapped"},
	{"header-case", "Names of headers are lower-case.", "output_header"},
	{"id-comparison", "An id is compared with a number or a text; ids can be either, and then the comparison is false.",
		"id_compared_with_number"},
	{"json-text", "JSON is written as a text, which is then encoded a second time. Write a map.", "body_json_text"},
	{"local-link", "`run.url` is sent to somebody, but leads to this machine.", "run_url_is_local"},
	{"maybe-nil", "A value can be nil here, and reading on fails then.", "error_in_finally"},
	{"maybe-skipped", "The output of a step that may be skipped is read without `?.`.", "step_maybe_skipped"},
	{"merge", "`<<` merges something that is not a map.", "merge_of_text"},
	{"method", "A value of the event has no methods. Use a function or an operator.", "method_length"},
	{"misplaced-key", "A key is valid, but not in this place.", "modifier_misplaced"},
	{"missing-connection", "The action needs a connection that is not there.", "connection_needed"},
	{"missing-file", "A file that is named does not exist.", "sample_missing"},
	{"missing-input", "A required input of an action or a workflow is missing, or the secret that signs a delivery.",
		"certificate_without_key"},
	{"missing-key", "A required key is missing.", "missing_steps"},
	{"needs-key", "A key needs another key that is missing.", "switch_without_cases"},
	{"no-body", "A step has nothing to do: exactly one of the step kinds is required.", "body_none"},
	{"no-list", "A poll's response is not a list, and `items:` does not say where the list is.", "poll_without_list"},
	{"no-overlap", "A poll's cursor has no `overlap:`, so items that appear late are missed.", "poll_without_overlap"},
	{"no-proof", "A webhook does not say how its sender is verified.", "webhook_without_proof"},
	{"no-shared-key", "Two sources of a trigger have no key in common, so that one event counts twice.", "two_inlets_one_key"},
	{"not-a-condition", "A condition is neither true nor false.", "expr_condition_quoted_text"},
	{"not-base64", "An input takes base64, and the text is not that.", "raw_not_base64"},
	{"not-evaluated", "The text looks like a template of another tool, and is sent as it is.", "foreign_template_string"},
	{"not-here", "A name cannot be read in this place.", "loop_item_outside"},
	{"not-literal", "An input has to be literal, and is an expression.", "input_not_literal"},
	{"not-yet", "The action is planned and not available.", "action_not_yet"},
	{"nothing-removed", "`null` in an environment's file removes a key that `hookloom.yaml` does not have.", "environment_removes_nothing"},
	{"nothing-to-gather", "`batch:` or `debounce:` collects events, but nothing that starts the workflow has events to collect.",
		"gather_manual_only"},
	{"number-too-large", "A number in an expression is larger than 64 bits can hold.", "number_beyond_64_bits"},
	{"odd-number", "YAML reads the value as another number than is written, such as an octal one.", "number_octal"},
	{"often", "A schedule is due so often that its events fill the history.", "schedule_often"},
	{"old-items", "A poll reads items from the oldest on and never reaches the new ones.", "poll_limit_without_cursor"},
	{"out-of-range", "A value is too small, too large, or a list is empty or too long.", "range_version"},
	{"poll-without-key", "A poll has no `key:`, so that each poll would start a run for each item.", "poll_without_key"},
	{"private-address", "A request goes to a private address that `egress.allow` does not list.", "connection_private_unlisted"},
	{"proves-provider", "A preset is used in a way in which it does not prove who sent the delivery.", "provider_of_all_customers"},
	{"replace-unsafe", "`on_full: replace` cancels a run, and a step of it cannot safely be repeated.", "concurrency_replace"},
	{"reserved-name", "The name is reserved.", "name_reserved"},
	{"reserved-path", "The path is used by the server itself.", "path_reserved"},
	{"second-document", "A file contains more than one YAML document.", "second_document"},
	{"secret-blanks", "A secret's value begins or ends with a blank or a line break.", "secret_with_blank"},
	{"secret-in-file", "A secret is written in the file in place of its name.", "secret_in_file"},
	{"secret-in-url", "A secret is part of a URL, which other servers write into their logs.", "secret_in_url"},
	{"secret-not-listed", "A workflow has a list `secrets:`, and uses one that is not in it.", "secret_not_listed"},
	{"secret-not-set", "A secret has no value in any source. The server does not start without it.", "secret_not_set"},
	{"secret-pending", "A secret is not set yet: the provider sends it in its handshake.", "secret_of_handshake"},
	{"secret-stored", "A secret would be written to the database in clear text.", "store_secret"},
	{"short-secret", "A secret is so short that it cannot be masked in texts.", "secret_short"},
	{"split-key", "With `split:`, a key that does not read `item` makes all elements one event.", "split_without_item"},
	{"step-not-visible", "A step's output is read where it does not exist: before it runs, in a parallel branch, or outside its loop.",
		"step_used_before_it_runs"},
	{"sync-wait", "The sender waits for the response, and a step takes longer than that.", "gather_sync"},
	{"tag", "A value has a YAML tag (`!x`).", "tag_custom"},
	{"token-not-set", "A token of the admin address has no value.", "server_token_not_set"},
	{"too-large", "A file, a list of steps or an expression is larger or nested deeper than allowed.", "loops_too_deep"},
	{"trigger-without-keys", "A step waits for an event of a trigger that remembers no keys.", "wait_dedupe_off"},
	{"two-bodies", "A step has two kinds of things to do. Use two steps.", "body_two"},
	{"type-mismatch", "An operator is used with types that do not fit.", "expr_types_do_not_fit"},
	{"types-never-meet", "Two values are compared whose types were never equal in the recorded events.", "recorded_types"},
	{"unclosed", "A bracket, a quote or `${{` is not closed.", "expr_unclosed_text"},
	{"unit", "A duration, size or rate has no unit, or an unknown one.", "unit_duration"},
	{"unknown-action", "There is no such action.", "action_unknown"},
	{"unknown-connection", "There is no such connection in `hookloom.yaml`.", "connection_unknown"},
	{"unknown-connector", "There is no such connector.", "connection_of_no_connector"},
	{"unknown-event", "The provider is not known to send this type of event.", "event_unknown"},
	{"unknown-field", "The value has no such field.", "expr_unknown_field"},
	{"unknown-function", "There is no such function.", "expr_github_always"},
	{"unknown-input", "The action or workflow has no such input.", "input_named_item"},
	{"unknown-key", "The map has no such key.", "wait_for"},
	{"unknown-name", "There is no such name.", "expr_unknown_name"},
	{"unknown-provider", "There is no preset of this name.", "provider_unknown"},
	{"unknown-step", "There is no step with this id.", "step_unknown"},
	{"unknown-trigger", "There is no such trigger.", "start_cron"},
	{"unknown-var", "There is no such var, or it is set further down.", "var_unknown"},
	{"unknown-word", "The value is not one of the allowed words.", "input_type_unknown"},
	{"unknown-workflow", "There is no such workflow, or it cannot be used here.", "workflow_run_unknown"},
	{"unreachable", "A step never runs, since the run ends before it.", "unreachable"},
	{"unusable-trigger", "A trigger lacks something that its preset needs.", "secret_of_wrong_form"},
	{"unused", "An input or a field is declared and not used.", "connector_input_unused"},
	{"url-expression", "A URL begins with an expression, whose result is encoded. Use a connection with a `base_url`.", "url_expression"},
	{"weak-secret", "A secret that verifies a sender is empty, too short or a placeholder.", "secret_weak"},
	{"wrong-kind", "A map is written where a list or a value is expected, or the reverse.", "kind_steps_map"},
	{"wrong-type", "A value has the wrong type.", "type_text_number"},
	{"yaml", "The file is not valid YAML.", "yaml_key_without_colon"},
	{"yaml-comment", "` #` begins a comment and cuts the value.", "comment_cuts_expression"},
}

// mistakeExamples are the cases that TestEachMistakeIsReportedWithPlaceAndFix and
// TestFollowingAHintFixesTheMistake run.
//
//go:embed testdata/mistakes/action_not_yet.txt testdata/mistakes/action_unknown.txt testdata/mistakes/admin_url.txt
//go:embed testdata/mistakes/body_json_text.txt testdata/mistakes/body_none.txt testdata/mistakes/body_two.txt
//go:embed testdata/mistakes/brackets_double.txt testdata/mistakes/call_circle.txt testdata/mistakes/certificate_without_key.txt
//go:embed testdata/mistakes/comment_cuts_expression.txt testdata/mistakes/concurrency_replace.txt
//go:embed testdata/mistakes/condition_constant.txt testdata/mistakes/connection_needed.txt
//go:embed testdata/mistakes/connection_private_unlisted.txt testdata/mistakes/connection_unknown.txt
//go:embed testdata/mistakes/credential_in_connection.txt testdata/mistakes/cron_bad.txt
//go:embed testdata/mistakes/deadline_shorter_than_timeout.txt testdata/mistakes/duplicate_key.txt testdata/mistakes/emit_loop.txt
//go:embed testdata/mistakes/env_whole.txt testdata/mistakes/event_in_batch.txt testdata/mistakes/event_unknown.txt
//go:embed testdata/mistakes/expr_argument_count.txt testdata/mistakes/expr_condition_quoted_text.txt
//go:embed testdata/mistakes/expr_ends_early.txt testdata/mistakes/expr_github_always.txt testdata/mistakes/expr_types_do_not_fit.txt
//go:embed testdata/mistakes/expr_unclosed_text.txt testdata/mistakes/expr_unknown_field.txt testdata/mistakes/expr_unknown_name.txt
//go:embed testdata/mistakes/expression_in_key.txt testdata/mistakes/expression_in_literal.txt testdata/mistakes/file_empty.txt
//go:embed testdata/mistakes/files_folder.txt testdata/mistakes/foreign_dollar_price.txt testdata/mistakes/foreign_template_string.txt
//go:embed testdata/mistakes/gather_manual_only.txt testdata/mistakes/gather_sync.txt testdata/mistakes/half_wrapped.txt
//go:embed testdata/mistakes/id_compared_with_number.txt testdata/mistakes/id_twice.txt testdata/mistakes/input_named_item.txt
//go:embed testdata/mistakes/input_not_literal.txt testdata/mistakes/input_type_unknown.txt testdata/mistakes/jq_program.txt
//go:embed testdata/mistakes/kind_steps_map.txt testdata/mistakes/loop_item_outside.txt testdata/mistakes/loops_too_deep.txt
//go:embed testdata/mistakes/merge_of_text.txt testdata/mistakes/method_length.txt testdata/mistakes/missing_steps.txt
//go:embed testdata/mistakes/modifier_misplaced.txt testdata/mistakes/multipart_as_json.txt testdata/mistakes/name_reserved.txt
//go:embed testdata/mistakes/name_with_dash.txt testdata/mistakes/number_octal.txt testdata/mistakes/output_header.txt
//go:embed testdata/mistakes/path_reserved.txt testdata/mistakes/path_twice.txt testdata/mistakes/poll_without_key.txt
//go:embed testdata/mistakes/poll_without_overlap.txt testdata/mistakes/provider_unknown.txt testdata/mistakes/range_version.txt
//go:embed testdata/mistakes/raw_file_outside.txt testdata/mistakes/raw_not_base64.txt testdata/mistakes/regexp_bad.txt
//go:embed testdata/mistakes/run_url_is_local.txt testdata/mistakes/sample_missing.txt testdata/mistakes/save_head.txt
//go:embed testdata/mistakes/second_document.txt testdata/mistakes/secret_computed.txt testdata/mistakes/secret_in_file.txt
//go:embed testdata/mistakes/secret_in_url.txt testdata/mistakes/secret_not_listed.txt testdata/mistakes/secret_not_set.txt
//go:embed testdata/mistakes/start_cron.txt testdata/mistakes/step_maybe_skipped.txt testdata/mistakes/step_unknown.txt
//go:embed testdata/mistakes/step_used_before_it_runs.txt testdata/mistakes/store_secret.txt testdata/mistakes/switch_without_cases.txt
//go:embed testdata/mistakes/tag_custom.txt testdata/mistakes/type_text_number.txt testdata/mistakes/unit_duration.txt
//go:embed testdata/mistakes/unreachable.txt testdata/mistakes/url_expression.txt testdata/mistakes/var_unknown.txt
//go:embed testdata/mistakes/wait_dedupe_off.txt testdata/mistakes/wait_for.txt testdata/mistakes/webhook_without_proof.txt
//go:embed testdata/mistakes/workflow_run_unknown.txt testdata/mistakes/yaml_key_without_colon.txt testdata/mistakes/schedule_often.txt
//go:embed testdata/mistakes/alias_of_itself.txt testdata/mistakes/connection_of_no_connector.txt
//go:embed testdata/mistakes/connector_input_unused.txt testdata/mistakes/connector_twice.txt testdata/mistakes/cron_day_and_weekday.txt
//go:embed testdata/mistakes/environment_removes_nothing.txt testdata/mistakes/error_in_finally.txt testdata/mistakes/key_left_out.txt
//go:embed testdata/mistakes/number_beyond_64_bits.txt testdata/mistakes/poll_limit_without_cursor.txt
//go:embed testdata/mistakes/poll_without_list.txt testdata/mistakes/provider_of_all_customers.txt testdata/mistakes/recorded_types.txt
//go:embed testdata/mistakes/schema_bad.txt testdata/mistakes/secret_of_handshake.txt testdata/mistakes/secret_of_wrong_form.txt
//go:embed testdata/mistakes/secret_short.txt testdata/mistakes/secret_weak.txt testdata/mistakes/secret_with_blank.txt
//go:embed testdata/mistakes/secret_with_dollar.txt testdata/mistakes/secrets_command_empty.txt testdata/mistakes/server_token_not_set.txt
//go:embed testdata/mistakes/split_without_item.txt testdata/mistakes/test_now.txt testdata/mistakes/two_inlets_one_key.txt
//go:embed testdata/mistakes/var_of_project_computed.txt
var mistakeExamples embed.FS
