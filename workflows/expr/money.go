package expr

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cockroachdb/apd/v3"
	"github.com/hookloom/hookloom/workflows/value"
)

// minorUnits are the decimal places of the ISO 4217 currencies (list one of its maintenance agency,
// https://www.six-group.com/en/products-services/financial-information/data-standards.html).
var minorUnits = func() map[string]int {
	out := map[string]int{}
	for digits, codes := range map[int]string{
		0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
		2: "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF " +
			"CHW CNY COP COU CRC " +
			"CUC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR " +
			"IRR JMD KES KGS KHR KPW KYD " +
			"KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB " +
			"PEN PGK PHP PKR PLN QAR " +
			"RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH " +
			"USD USN UYU UZS VED VES " +
			"WST XCD XCG YER ZAR ZMW ZWG ZWL",
		3: "BHD IQD JOD KWD LYD OMR TND",
		4: "CLF UYW",
	} {
		for _, c := range strings.Fields(codes) {
			out[c] = digits
		}
	}
	return out
}()

// otherUnits are the decimal places of the amounts of a provider's API, where they differ from ISO 4217. Stripe kept two
// for ISK and UGX when these lost their minor unit, and takes MGA as one without (docs.stripe.com/currencies, "Special
// cases"; support.stripe.com/questions/deprecation-of-fractional-isk-charges-and-refunds).
var otherUnits = map[string]map[string]int{"stripe": {"ISK": 2, "UGX": 2, "MGA": 0}}

// digitsOf returns the decimal places of a currency, in the API of a provider if one is given.
func digitsOf(code string, provider []any) (int, error) {
	digits, ok := minorUnits[code]
	if !ok {
		return 0, fmt.Errorf("money: %q is not an ISO 4217 currency code, such as EUR", value.Clip(code, 20))
	}
	if len(provider) == 0 {
		return digits, nil
	}
	name, _ := operand(provider[0]).(string)
	units, ok := otherUnits[name]
	if !ok {
		return 0, fmt.Errorf("money: the third argument is \"stripe\", whose units differ from ISO 4217, or is left out; got %s",
			value.Describe(provider[0]))
	}
	if other, differs := units[code]; differs {
		return other, nil
	}
	return digits, nil
}

// money formats an amount in minor units (cents) as an amount of its currency.
func money(a []any) any {
	v := operand(arg("money", a, 0))
	code := strings.ToUpper(textArg("money", a, 1))
	digits, err := digitsOf(code, a[2:])
	must(err)
	switch v.(type) {
	case int, float64, json.Number, string, Decimal:
	default:
		panic(fmt.Errorf("money needs an amount in minor units (cents), got %s", value.Describe(v)))
	}
	amount, err := toDecimal(v)
	must(err)
	if amount.rounded(0, apd.RoundHalfUp).d.Cmp(amount.d) != 0 {
		panic(fmt.Errorf("money takes whole minor units (1990 for 19.90 EUR), got %s; fixed(x, %d) writes an amount that is "+
			"in units already",
			value.Clip(amount.String(), 40), digits))
	}
	out := Decimal{new(apd.Decimal)}
	out.d.Set(amount.d)
	out.d.Exponent -= int32(digits)
	return out.fixed(digits)
}

// Currencies returns the codes that money accepts.
func Currencies() []string { return slices.Sorted(maps.Keys(minorUnits)) }
