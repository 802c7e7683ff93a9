package actions_test

import "maps"

// The tables of connectorfacts_test.go for messages, work, on call, storage and AI.
func init() {
	maps.Copy(documents, map[string][]string{
		"asana":            {"asana.yaml"},
		"discord":          {"discord.json"},
		"github":           {"api.github.com.json"},
		"google_calendar":  {"googleapis.com/calendar.json"},
		"google_chat":      {"googleapis.com/chat.json"},
		"google_drive":     {"googleapis.com/drive.json"},
		"google_sheets":    {"googleapis.com/sheets.json"},
		"google_storage":   {"googleapis.com/storage.json"},
		"jira":             {"atlassian.com/jira.json"},
		"microsoft365":     {"microsoft.com/graph.json"},
		"pagerduty":        {"pagerduty-rest.json"},
		"pagerduty_events": {"pagerduty-events-v2.json"},
		"postmark":         {"postmarkapp.com/server.json"},
		"resend":           {"resend.json"},
		"sendgrid":         {"sendgrid-v3.json"},
		"ses":              {"amazonaws.com/sesv2.json"},
		"teams":            {"microsoft.com/graph.json"},
		"trello":           {"trello.com.json"},
		"twilio":           {"twilio-api-v2010.json"},
	})
	maps.Copy(beyond, map[string]string{
		"google_chat/messages.update": "the document writes one {name} for the four segments",
		"google_chat/messages.delete": "the document writes one {name} for the four segments",
	})
	maps.Copy(beyond, map[string]string{
		"google_drive/files.upload":   "the document has no uploads",
		"google_storage/objects.get":  "the document knows metadata only",
		"google_storage/objects.put":  "the document has no uploads",
		"google_storage/objects.text": "the document has no uploads",
		"jira/issues.search":          "the document is older than /search/jql",
		"microsoft365/mail.send":      "the document calls it microsoft.graph.sendMail",
	})
	maps.Copy(renamed, map[string][2]string{
		"google_chat": {"/v1/spaces/", "/v1/"}, // {parent} is two segments
	})
	maps.Copy(differing, map[string][]string{
		// The service returns 204, and accepts metadata alone as JSON: .../drive/api/guides/folder.
		"google_calendar": {"answer has the status 204,"},
		"google_drive":    {"body has the type"},
		// Only a derived type needs it; values is a list: learn.microsoft.com/graph/api/chatmessage-post, table-post-rows.
		"microsoft365": {"@odata.type,", "values is a list,"},
		"teams":        {"@odata.type,"},
		// The guides say so: postmarkapp.com/developer/api/bounce-api (ID is a number), templates-api (TemplateId or TemplateAlias).
		"postmark": {"Bounces[0].ID is", "body has no TemplateId,"},
		// A template has its own: twilio.com/docs/sendgrid/ui/sending-email/how-to-send-an-email-with-dynamic-templates.
		"sendgrid": {"body has no subject,", "body has no content,"},
		// They are in the Authorization header:
		// developer.atlassian.com/cloud/trello/guides/rest-api/authorization.
		"trello": {"query has no key,", "query has no token,"},
	})
}
