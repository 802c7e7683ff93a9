package expr_test

import (
	"strings"
	"testing"

	"github.com/hookloom/hookloom/workflows/value"
)

func TestTimesAreParsedWithTheirZone(t *testing.T) {
	for text, want := range map[string]string{
		`date("01.07.2026 10:00", "02.01.2006 15:04", "America/New_York")`:           "2026-07-01T14:00:00.000Z",
		`date("2026-03-28 02:30:00", "2006-01-02 15:04:05", "Europe/Berlin")`:        "2026-03-28T01:30:00.000Z",
		`date(timezone("Europe/Berlin"), "2026-07-01 10:00:00")`:                     "2026-07-01T08:00:00.000Z",
		`date(timezone("Europe/Berlin"), "2026-07-01")`:                              "2026-06-30T22:00:00.000Z",
		`date(timezone("Europe/Berlin"), "2026-07-01T10:00:00Z")`:                    "2026-07-01T10:00:00.000Z",
		`date(timezone("Europe/Berlin"), "01.07.2026", "02.01.2006")`:                "2026-06-30T22:00:00.000Z",
		`date("01.07.2026", "02.01.2006")`:                                           "2026-07-01T00:00:00.000Z",
		`date("Thu, 31 Jan 2026 10:00:00 GMT")`:                                      "2026-01-31T10:00:00.000Z",
		`date("Thu, 31 Jan 2026 10:00:00 UT")`:                                       "2026-01-31T10:00:00.000Z",
		`date("Thu, 31 Jan 2026 10:00:00 Z")`:                                        "2026-01-31T10:00:00.000Z",
		`date("Sat, 31 Jan 2026 10:00:00 +0200")`:                                    "2026-01-31T08:00:00.000Z",
		`date("Sat, 1 Aug 2026 10:00:00 -0700")`:                                     "2026-08-01T17:00:00.000Z",
		`date("31 Jan 26 10:00 EST")`:                                                "2026-01-31T15:00:00.000Z",
		`date("31 Jan 26 10:00 +0100")`:                                              "2026-01-31T09:00:00.000Z",
		`date("Saturday, 31-Jan-26 10:00:00 PDT")`:                                   "2026-01-31T17:00:00.000Z",
		`date("2026-01-31T10:00:00+0100")`:                                           "2026-01-31T09:00:00.000Z",
		`date("2026-01-31 10:00")`:                                                   "2026-01-31T10:00:00.000Z",
		`date("2026-01-31T10:00")`:                                                   "2026-01-31T10:00:00.000Z",
		`date("2026-01-31 10:00:00.250")`:                                            "2026-01-31T10:00:00.250Z",
		`date(timezone("Europe/Berlin"), "Sat, 31 Jan 2026 10:00:00 CET")`:           "2026-01-31T09:00:00.000Z",
		`date("Thu, 1 Jan 2026 10:00:00 GMT+2")`:                                     "2026-01-01T08:00:00.000Z",
		`date("01 Jul 26 10:00 GMT-7")`:                                              "2026-07-01T17:00:00.000Z",
		`date("Thu, 1 Jan 2026 10:00:00 GMT+0")`:                                     "2026-01-01T10:00:00.000Z",
		`date("Thu, 1 Jan 2026 10:00:00 +03")`:                                       "2026-01-01T07:00:00.000Z",
		`date("2026-01-01 10:00 GMT+2", "2006-01-02 15:04 MST")`:                     "2026-01-01T08:00:00.000Z",
		`date("Thu, 1 Jan 2026 10:00:00 +00")`:                                       "2026-01-01T10:00:00.000Z",
		`date(timezone("Asia/Kolkata"), "Thu, 1 Jan 2026 10:00:00 GMT-7")`:           "2026-01-01T17:00:00.000Z",
		`date(timezone("Europe/Moscow"), "Thu, 1 Jan 2026 10:00:00 MST")`:            "2026-01-01T17:00:00.000Z",
		`date(timezone("Asia/Manila"), "Thu, 1 Jan 2026 10:00:00 PDT")`:              "2026-01-01T17:00:00.000Z",
		`date(timezone("Asia/Shanghai"), "Thu, 1 Jan 2026 10:00:00 CDT")`:            "2026-01-01T15:00:00.000Z",
		`date(timezone("Asia/Shanghai"), "Thu, 1 Jan 2026 10:00:00 CST")`:            "2026-01-01T02:00:00.000Z",
		`date(timezone("America/Havana"), "Thu, 1 Jan 2026 10:00:00 CDT")`:           "2026-01-01T14:00:00.000Z",
		`date(timezone("Europe/Berlin"), "Thu, 1 Jan 2026 10:00:00 CEST")`:           "2026-01-01T08:00:00.000Z",
		`date(timezone("Europe/Berlin"), "Thu, 1 Jan 2026 10:00:00 EST")`:            "2026-01-01T15:00:00.000Z",
		`date("2026-01-31t10:00:00z")`:                                               "2026-01-31T10:00:00.000Z",
		`date("2026-01-31t10:00:00+01:00")`:                                          "2026-01-31T09:00:00.000Z",
		`date("20260131T100000Z")`:                                                   "2026-01-31T10:00:00.000Z",
		`date(timezone("Asia/Tokyo"), "20260131T100000")`:                            "2026-01-31T01:00:00.000Z",
		`date(1714521600123 / 1000)`:                                                 "2024-05-01T00:00:00.123Z",
		`date(decimal(1714521600123456789) / 1000000000)`:                            "2024-05-01T00:00:00.123Z",
		`date(timezone("Europe/Berlin"), 1714521600).Format("15:04")`:                "02:00",
		`now(timezone("Asia/Tokyo")).Format("15:04")`:                                "19:00",
		`now().In(timezone("Asia/Tokyo")).Format("15:04")`:                           "19:00",
		`date(timezone("Europe/Berlin"), "2026-07-01 09:00").AddDate(0, 0, 1)`:       "2026-07-02T07:00:00.000Z",
		`date("2026-03-29 02:30", "2006-01-02 15:04", "Europe/Berlin")`:              "2026-03-29T01:30:00.000Z",
		`date("2026-03-08 02:30", "2006-01-02 15:04", "America/New_York")`:           "2026-03-08T07:30:00.000Z",
		`date("2026-10-25 02:30", "2006-01-02 15:04", "Europe/Berlin")`:              "2026-10-25T00:30:00.000Z",
		`date("2026-11-01 01:30", "2006-01-02 15:04", "America/New_York")`:           "2026-11-01T05:30:00.000Z",
		`date("2026-10-25 01:30", "2006-01-02 15:04", "Europe/London")`:              "2026-10-25T00:30:00.000Z",
		`date("2026-10-04 02:15", "2006-01-02 15:04", "Australia/Lord_Howe")`:        "2026-10-03T15:45:00.000Z",
		`date(timezone("Europe/Berlin"), "2026-10-25 02:30")`:                        "2026-10-25T00:30:00.000Z",
		`date(timezone("Europe/Berlin"), "2026-10-25 02:30:00 +0100")`:               "2026-10-25T01:30:00.000Z",
		`date(timezone("Europe/Berlin"), "Sun, 25 Oct 2026 02:30:00 CET")`:           "2026-10-25T01:30:00.000Z",
		`date(timezone("Europe/Berlin"), "Sun, 25 Oct 2026 02:30:00 CEST")`:          "2026-10-25T00:30:00.000Z",
		`date("2026-10-25T00:30:00Z").In(timezone("Europe/Berlin")).Format("15:04")`: "02:30",
	} {
		v, err := eval(t, text, nil)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := value.Text(v); err != nil || got != want {
			t.Errorf("%s gives %s %v, want %s", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		`date(1714521600000)`: "date(… / 1000)", `date(1714521600000000)`: "date(… / 1000000)",
		`date(1714521600000000000)`: "1000000000)", `date("1714521600")`: "date(int(",
		`date("Sat, 31 Jan 2026 10:00:00 CEST")`:                           "write an offset",
		`date("Sat, 31 Jan 2026 10:00:00 +2400")`:                          "an offset of a day or more",
		`date("2026-01-31 10:00 XYZ", "2006-01-02 15:04 MST")`:             "write an offset",
		`date(timezone("Europe/Berlin"), "Sat, 31 Jan 2026 10:00:00 BST")`: "write an offset",
		`date("soon")`:     "is not a time",
		`date("1.7.2026")`: "is not a time", `date("a", "2006-01-02")`: "does not match the layout",
		`date("2026-01-01", "2006-01-02", "Europe/Berlim")`: "not a time zone", `date(nil)`: "??",
		`date(true)`: "is not a time", `isoTime(1714521600000)`: "milliseconds",
	} {
		if v, err := eval(t, text, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gives %v %v, want %q", text, v, err, want)
		}
	}
}
