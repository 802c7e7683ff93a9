package triggers

import "testing"

// TestARefusedDeliverysURLKeepsNoCredential: a sender may put a token into the URL that the trigger does not ask for.
func TestARefusedDeliverysURLKeepsNoCredential(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"https://a.example/hooks/x?token=NEWq999&door=front": "https://a.example/hooks/x?token=***&door=front",
		"https://a.example/hooks/x?a=1&api_key=k&API-Key=q":  "https://a.example/hooks/x?a=1&api_key=***&API-Key=***",
		"https://a.example/hooks/x?access_token=t#f":         "https://a.example/hooks/x?access_token=***#f",
		"https://a.example/hooks/x?page_tokens=3&tokenless":  "https://a.example/hooks/x?page_tokens=3&tokenless",
	} {
		if got := hideParameters(url); got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
}
