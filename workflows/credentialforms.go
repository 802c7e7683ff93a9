package workflows

import (
	"strings"

	"github.com/hookloom/hookloom/workflows/lazyregexp"
)

// A credentialForm is a kind of credential that is known by its letters alone.
type credentialForm struct {
	// what names it in a message, secret is the name that its secret is offered.
	what, secret string
	form         *lazyregexp.Regexp
}

// credentialForms are the tokens that services give a fixed beginning. The forms are facts of
// the services, as gitleaks collects them (github.com/gitleaks/gitleaks, config/gitleaks.toml at
// b58d3f1) and GitHub's secret scanning does (docs.github.com, "Supported secret scanning
// patterns"); those of Groq, xAI, Replicate, Figma and Supabase as public scanners such as
// github.com/mongodb/kingfisher do. Intercom's tokens are base64 of tok:. Keys of test modes, such as
// sk_test_, open nothing and are left out, and so is what a service means to be public: Razorpay's key
// without its secret, Supabase's sb_publishable_ keys.
var credentialForms = []credentialForm{
	form("a private key", "PRIVATE_KEY", `-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----`),
	form("a Stripe key", "STRIPE_KEY", `\b(?:sk|rk)_(?:live|prod)_[A-Za-z0-9_]{8,}`),
	form("a webhook signing secret", "WEBHOOK_SECRET", `\bwhsec_[A-Za-z0-9+/=]{16,}`),
	form("a GitHub token", "GITHUB_TOKEN", `\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{22,})`),
	form("a GitLab token", "GITLAB_TOKEN", `\b(?:glpat|gldt|glrt|glptt|glcbt|glsoat|gloas|glft|glffct|glimt|glagent)-[\w-]{16,}`),
	form("a Slack token", "SLACK_TOKEN", `\b(?:xox[abeoprs]|xapp)-[A-Za-z0-9-]{10,}`),
	form("a Slack webhook address", "SLACK_WEBHOOK_URL", `\bhttps://hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9+/]{20,}`),
	form("a Discord webhook address", "DISCORD_WEBHOOK_URL", `\bhttps://(?:\w+\.)?discord(?:app)?\.com/api/webhooks/\d{5,}/[\w-]{30,}`),
	form("a Teams webhook address", "TEAMS_WEBHOOK_URL", `\bhttps://[a-z0-9]+\.webhook\.office\.com/webhookb2/[\w@/-]{40,}`),
	form("an AWS access key", "AWS_ACCESS_KEY_ID", `\b(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b`),
	form("a Google API key", "GOOGLE_API_KEY", `\bAIza[\w-]{35}`),
	form("a Google client secret", "GOOGLE_CLIENT_SECRET", `\bGOCSPX-[\w-]{20,}`),
	form("an Anthropic key", "ANTHROPIC_API_KEY", `\bsk-ant-[\w-]{20,}`),
	form("an OpenAI key", "OPENAI_API_KEY", `\bsk-(?:(?:proj|svcacct|admin)-[\w-]{20,}|[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20})`),
	form("a SendGrid key", "SENDGRID_KEY", `\bSG\.[\w-]{16,}\.[\w-]{16,}`),
	form("a Shopify token", "SHOPIFY_TOKEN", `\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}`),
	form("a HubSpot token", "HUBSPOT_TOKEN", `\bpat-(?:na|eu|ap)\d-[0-9a-f]{8}-[0-9a-f-]{27}`),
	form("a DigitalOcean token", "DIGITALOCEAN_TOKEN", `\bdo[opr]_v1_[a-f0-9]{64}`),
	form("an Airtable token", "AIRTABLE_TOKEN", `\bpat[A-Za-z0-9]{14}\.[a-f0-9]{64}\b`),
	form("a Notion token", "NOTION_TOKEN", `\bntn_[A-Za-z0-9]{40,}`),
	form("a Linear key", "LINEAR_API_KEY", `\blin_api_[A-Za-z0-9]{32,}`),
	form("a Square token", "SQUARE_TOKEN", `\b(?:EAAA[\w-]{50,}|sq0(?:atp|csp)-[\w-]{22,})`),
	form("a Brevo key", "BREVO_API_KEY", `\bxkeysib-[a-f0-9]{64}-[A-Za-z0-9]{16}`),
	form("a Mailgun key", "MAILGUN_API_KEY", `\bkey-[a-f0-9]{32}\b`),
	form("a Mailchimp key", "MAILCHIMP_API_KEY", `\b[a-f0-9]{32}-us\d{1,2}\b`),
	form("an Atlassian token", "ATLASSIAN_TOKEN", `\bATATT3[\w=-]{100,}`),
	form("a Telegram bot token", "TELEGRAM_TOKEN", `\d{8,10}:AA[\w-]{32,}`),
	form("an npm token", "NPM_TOKEN", `\bnpm_[A-Za-z0-9]{36}`),
	form("a PyPI token", "PYPI_TOKEN", `\bpypi-AgEIcHlwaS5vcmc[\w-]{50,}`),
	form("a Hugging Face token", "HF_TOKEN", `\bhf_[A-Za-z]{34}\b`),
	form("a Databricks token", "DATABRICKS_TOKEN", `\bdapi[a-f0-9]{32}\b`),
	form("a Vault token", "VAULT_TOKEN", `\bhv[sb]\.[\w-]{80,}`),
	form("a Grafana token", "GRAFANA_TOKEN", `\bgl(?:c_[A-Za-z0-9+/]{32,}|sa_[A-Za-z0-9]{32}_[A-Fa-f0-9]{8})`),
	form("a Sentry token", "SENTRY_TOKEN", `\bsntry(?:s_eyJ[A-Za-z0-9+/=_]{40,}|u_[a-f0-9]{64})`),
	form("a Postman key", "POSTMAN_API_KEY", `\bPMAK-[A-Za-z0-9]{24}-[A-Za-z0-9]{34}`),
	form("a Perplexity key", "PERPLEXITY_API_KEY", `\bpplx-[A-Za-z0-9]{48}\b`),
	form("a Fly.io token", "FLY_API_TOKEN", `\bfo1_[\w-]{43}`),
	form("an xAI key", "XAI_API_KEY", `\bxai-[A-Za-z0-9]{80}\b`),
	form("a Replicate token", "REPLICATE_API_TOKEN", `\br8_[A-Za-z0-9]{37,}\b`),
	form("a Groq key", "GROQ_API_KEY", `\bgsk_[A-Za-z0-9]{52}\b`),
	form("a Figma token", "FIGMA_TOKEN", `\bfigd_[\w-]{40,}`),
	form("a Supabase token", "SUPABASE_TOKEN", `\bsbp_[a-f0-9]{40}\b`),
	form("a Doppler token", "DOPPLER_TOKEN", `\bdp\.pt\.[A-Za-z0-9]{43}`),
	form("a Dynatrace token", "DYNATRACE_TOKEN", `\bdt0c01\.[A-Za-z0-9]{24}\.[A-Za-z0-9]{64}`),
	form("a Heroku key", "HEROKU_API_KEY", `\bHRKU-AA[\w-]{58}`),
	form("an EasyPost key", "EASYPOST_API_KEY", `\bEZAK[A-Za-z0-9]{54}\b`),
	form("a Shippo token", "SHIPPO_TOKEN", `\bshippo_live_[a-fA-F0-9]{40}`),
	form("a Duffel token", "DUFFEL_TOKEN", `\bduffel_live_[\w=-]{43}`),
	form("a Supabase secret key", "SUPABASE_SECRET_KEY", `\bsb_secret_[\w-]{20,}`),
	form("a Resend key", "RESEND_API_KEY", `\bre_[A-Za-z0-9]{6,12}_[A-Za-z0-9]{20,}`),
	form("a Paddle key", "PADDLE_API_KEY", `\bpdl_live_apikey_[a-z0-9]{26}_[A-Za-z0-9]{16,}(?:_[A-Za-z0-9]{3})?`),
	form("a Paddle webhook secret", "PADDLE_WEBHOOK_SECRET", `\bpdl_ntfset_[a-z0-9]{26}_[A-Za-z0-9+/=]{16,}`),
	form("a ClickUp token", "CLICKUP_TOKEN", `\bpk_\d{5,10}_[A-Z0-9]{32}\b`),
	form("a Razorpay key with its secret", "RAZORPAY_KEY", `\brzp_live_[A-Za-z0-9]{14}:[A-Za-z0-9]{20,}`),
	form("a Flutterwave secret key", "FLUTTERWAVE_SECRET_KEY", `\bFLWSECK-[A-Za-z0-9]{24,}(?:-[A-Za-z0-9]{10,})?-X\b`),
	form("an Intercom token", "INTERCOM_TOKEN", `\bdG9rO[jm][A-Za-z0-9+/]{50,}={0,2}`),
	form("an Asana token", "ASANA_TOKEN", `\b\d{1,2}/\d{13,}(?:/\d{13,})?:[a-z0-9]{32}\b`),
	form("a Zapier webhook address", "ZAPIER_WEBHOOK_URL",
		`\bhttps://hooks\.zapier\.com/hooks/(?:catch|standard)/\d{4,}/[A-Za-z0-9]{5,}(?:/[A-Za-z0-9]+)*/?`),
	form("a Make webhook address", "MAKE_WEBHOOK_URL", `\bhttps://hook\.[a-z0-9.-]*make\.com/[a-z0-9]{24,}`),
	form("an age key", "AGE_KEY", `AGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}`),
	form("a 1Password service account token", "OP_SERVICE_ACCOUNT_TOKEN", `\bops_eyJ[A-Za-z0-9+/]{100,}`),
	form("a signed token (JWT)", "TOKEN", `\bey[A-Za-z0-9_-]{15,}\.ey[A-Za-z0-9_-]{15,}\.[A-Za-z0-9_-]{20,}`),
}

func form(what, secret, pattern string) credentialForm {
	return credentialForm{what, secret, lazyregexp.New(pattern)}
}

// anyCredential finds what may be one of credentialForms, so that other texts are looked at once.
var anyCredential = func() *lazyregexp.Regexp {
	var all []string
	for _, f := range credentialForms {
		all = append(all, f.form.String())
	}
	return lazyregexp.New(strings.Join(all, "|"))
}()

// placeholder is text that stands where a credential will: it is none itself.
var placeholder = lazyregexp.New(`(?i)^(?:` +
	`x{3,}.*|[*•.…-]+|<.*>|\{.*\}|\[.*\]|\$\w+|%\w+%|(?:sk|rk|pk)_test_.*|` +
	`(?:test|your|example|sample|dummy|fake|demo|insert|replace|todo|fixme|change|redacted|anonymous|guest|public|none|null|undefined|` +
	`string|password|passwd|secret|token|bearer|apikey|api[_-]?key|credentials?)(?:[^a-z].*)?|` +
	`.*(?:example|placeholder|dummy|redacted|changeme|change[_-]me|xxxx|\.\.\.|your[_-]).*)$`)

// isPlaceholder reports whether text only shows where a credential goes. AWS's documentation
// uses AKIAIOSFODNN7EXAMPLE.
func isPlaceholder(text string) bool {
	text = strings.TrimSpace(text)
	return text == "" || text == Mask || placeholder.MatchString(text) || strings.Trim(text, text[:1]) == ""
}

// looksRandom reports whether text has the letters of a generated value: words, addresses and
// dates have none of that length, or no digits, or blanks.
func looksRandom(text string) bool {
	if len(text) < 12 || len(text) > 4096 {
		return false
	}
	letters, digits := 0, 0
	for _, c := range text {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
			letters++
		case !strings.ContainsRune("+/=_-.~!@#$%^&*", c):
			return false
		}
	}
	return letters > 3 && digits > 1
}
