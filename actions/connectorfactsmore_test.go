package actions_test

import "maps"

// The tables of connectorfacts_test.go for messages, work, on call, storage and AI.
func init() {
	maps.Copy(documents, map[string][]string{
		"asana":            {"asana.yaml"},
		"discord":          {"discord.json"},
		"google_chat":      {"googleapis.com/chat.json"},
		"pagerduty":        {"pagerduty-rest.json"},
		"pagerduty_events": {"pagerduty-events-v2.json"},
		"postmark":         {"postmarkapp.com/server.json"},
		"resend":           {"resend.json"},
		"sendgrid":         {"sendgrid-v3.json"},
		"ses":              {"amazonaws.com/sesv2.json"},
		"teams":            {"microsoft.com/graph.json"},
		"twilio":           {"twilio-api-v2010.json"},
	})
	maps.Copy(beyond, map[string]string{
		"google_chat/messages.update": "the document writes one {name} for the four segments",
		"google_chat/messages.delete": "the document writes one {name} for the four segments",
	})
	maps.Copy(renamed, map[string][2]string{
		"google_chat": {"/v1/spaces/", "/v1/"}, // {parent} is both segments
	})
	maps.Copy(differing, map[string][]string{
		// The guides say so: postmarkapp.com/developer/api/bounce-api (ID is a number), .../templates-api (TemplateId or TemplateAlias).
		"postmark": {"Bounces[0].ID is", "body has no TemplateId,"},
		// A template has its own: twilio.com/docs/sendgrid/ui/sending-email/how-to-send-an-email-with-dynamic-templates.
		// Only a derived type needs it: learn.microsoft.com/graph/api/chatmessage-post.
		"teams":    {"@odata.type,"},
		"sendgrid": {"body has no subject,", "body has no content,"},
	})
}
