package signature_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/signature"
)

// formRequest has a body of a form.
func formRequest(method, publicURL, body string, header map[string]string) *signature.Request {
	r := &signature.Request{Method: method, Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}},
		PublicURL: publicURL, CallbackURL: "https://cb.example/x", Body: []byte(body), Params: map[string]string{"realm": "R"}}
	for n, v := range header {
		r.Header.Set(n, v)
	}
	if u, err := url.Parse(publicURL); err == nil {
		r.Query = u.Query()
	}
	r.Form = func() (url.Values, error) { return url.ParseQuery(body) }
	r.Pairs = func() (pairs [][2]string, err error) {
		for part := range strings.SplitSeq(body, "&") {
			k, v, _ := strings.Cut(part, "=")
			if v, err = url.QueryUnescape(v); err != nil {
				return nil, err
			}
			pairs = append(pairs, [2]string{k, v})
		}
		return pairs, nil
	}
	r.JSON = func(path string) (string, bool) {
		v, ok := map[string]string{"Type": "N", "Message": "m\nm", "TopicArn": "arn", "Line": "a\nb", "": ""}[path]
		return v, ok
	}
	return r
}

// TestEachSignedFormEqualsThatOfItsProvider compares each form byte for byte: any difference
// would refuse every genuine delivery.
func TestEachSignedFormEqualsThatOfItsProvider(t *testing.T) {
	const address = "https://h.example:8443/a%20b/c?q=1&p=2&q=0"
	for _, c := range []struct{ template, body, want string }{
		{"{body_sha256_hex}", "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}, // FIPS 180
		{"{body_sha256_base64}", "abc", "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="},
		{"{body_sha256_raw}", "abc", "\xbax\x16\xbf\x8f\x01\xcf\xeaAA@\xde]\xae\"#\xb0\x03a\xa3\x96\x17z\x9c\xb4\x10\xffa\xf2\x00\x15\xad"},
		{"{body_crc32_decimal}", "123456789", "3421780262"}, // the check value of CRC-32, 0xCBF43926
		{"{form_sorted:all}", "b=2&a=1&b=1&b=2", "a1b1b2"},
		{"{form_serialized:sig}", "b=2&sig=x&a=%C3%A9", `a:2:{s:1:"a";s:2:"é";s:1:"b";s:1:"2";}`},
		{"{form_json}", "b=1&a=%C3%A9%22%5C%08%0C%0A%0D%09%01%7F%F0%9F%98%80",
			`{"b": "1", "a": "\u00e9\"\\\b\f\n\r\t\u0001\u007f\ud83d\ude00"}`},
		{"{query_sorted}", "", "p=2&q=1&q=0"},
		{"{path_query_encoded}", "", "/a%20b/c?q%253D1%2526p%253D2%2526q%253D0"},
		{"{json_lines:Type,TopicArn,None}", "", "Type\nN\nTopicArn\narn\n"},
		{"{json_lines:Message,TopicArn}", "", "Message\nm\nm\nTopicArn\narn\n"},
		{"{header_lines:X-List}", "", "date:today;x-list:X-List, Date"},
		{"{url_params_sorted:all}", "b=2&a=1&a=0", "https://h.example:8443/a%20b/c?p=2&q=0&q=1.a0a1b2"},
		{"{public_url}", "", address}, {"{callback_url}", "", "https://cb.example/x"}, {"{param:realm}", "", "R"},
		{"{method}{LF}{method|lower}", "", "POST\npost"}, {"{header:Date|json}", "", "today"}, {"{query:p}", "", "2"},
		{"{form:a}", "a=%22", `"`}, {"{form:a|json}", "a=%22+%0A", `\" \n`}, {"{json:Type}", "", "N"},
		{"{header:Date|sha256_hex}", "", "e0f4f767ac88a9303e7317843ac20be980665a36f52397e5b26d4cc2bf54011d"},
		{"[id:{header:Id};]x{{y}}", "", "x{y}"}, {"[d:{header:Date};]x", "", "d:today;x"},
	} {
		tpl, err := signature.ParseTemplate(c.template)
		if err != nil {
			t.Fatal(err)
		}
		r := formRequest("POST", address, c.body, map[string]string{"Date": "today", "X-List": "X-List, Date"})
		if got, err := tpl.Fill(r, "", false); err != nil || got != c.want {
			t.Errorf("%s of %q: %q, %v; expected %q", c.template, c.body, got, err, c.want)
		}
	}
}

// TestAmbiguousSignedFormIsRefused checks content that is outside the signed form, or
// could move from one field to another.
func TestAmbiguousSignedFormIsRefused(t *testing.T) {
	jsonBody := func(r *signature.Request) { r.Header.Set("Content-Type", "application/json") }
	broken := func(r *signature.Request) { r.Form = func() (url.Values, error) { return nil, errors.New("no form") } }
	for name, c := range map[string]struct {
		template string
		change   func(r *signature.Request)
		refused  bool
	}{
		"a body that is no form": {"{form_sorted:all}", jsonBody, true},
		"a form that says so":    {"{form_sorted:all}", func(*signature.Request) {}, false},
		"a form by its given type": {"{form_sorted:all}",
			func(r *signature.Request) { jsonBody(r); r.MediaType = "Application/X-WWW-Form-Urlencoded" }, false},
		"no form and no body":       {"{form_sorted:all}", func(r *signature.Request) { jsonBody(r); r.Body = nil }, false},
		"a broken form":             {"{form_sorted:all}", broken, true},
		"no reader of forms":        {"{form_sorted:all}", func(r *signature.Request) { r.Form = nil }, true},
		"a broken form, serialized": {"{form_serialized:x}", broken, true},
		"no form, serialized":       {"{form_serialized:x}", func(r *signature.Request) { r.Form = nil }, true},
		"no pairs":                  {"{form_json}", func(r *signature.Request) { r.Pairs = nil }, true},
		"broken pairs": {"{form_json}", func(r *signature.Request) {
			r.Pairs = func() ([][2]string,
				error) {
				return nil, errors.New("x")
			}
		}, true},
		"a second line with a line feed": {"{json_lines:Type,Line}", func(*signature.Request) {}, true},
		"a third line with a line feed":  {"{json_lines:Type,TopicArn,Line}", func(*signature.Request) {}, true},
		"no second line":                 {"{json_lines:Type,None}", func(*signature.Request) {}, true},
		"no line at all":                 {"{json_lines:None}", func(*signature.Request) {}, true},
		"a list that does not list itself": {"{header_lines:X-List}",
			func(r *signature.Request) { r.Header.Set("X-List", "Date") }, true},
		"a list with a header that is absent": {"{header_lines:X-List}",
			func(r *signature.Request) { r.Header.Set("X-List", "X-List,Nope") }, true},
		"a value like the next header": {"{header_lines:X-List}", func(r *signature.Request) {
			r.Header.Set("Date",
				"x;host:y")
		}, true},
		"no list": {"{header_lines:X-List}", func(r *signature.Request) { r.Header.Del("X-List") }, true},
		"a long list": {"{header_lines:X-List}", func(r *signature.Request) {
			r.Header.Set("X-List", "X-List"+strings.Repeat(",X-List", 600))
		}, true},
		"a list of 4096 bytes": {"{header_lines:X-List}", func(r *signature.Request) {
			r.Header.Set("X-List", "X-List,"+strings.Repeat(" ", 4083)+"X-List")
		}, false},
		"a list of 4097 bytes": {"{header_lines:X-List}", func(r *signature.Request) {
			r.Header.Set("X-List", "X-List,"+strings.Repeat(" ", 4084)+"X-List")
		}, true},
		"a header that comes twice": {"{header_lines:X-List}", func(r *signature.Request) {
			r.Header.Add("Date",
				"tomorrow")
		}, true},
		"parameters beside a JSON body":    {"{url_params_sorted:all}", jsonBody, true},
		"parameters of a broken form":      {"{url_params_sorted:all}", broken, true},
		"parameters without a body":        {"{url_params_sorted:all}", func(r *signature.Request) { jsonBody(r); r.Body = nil }, false},
		"an address that cannot be parsed": {"{url_params_sorted:all}", func(r *signature.Request) { r.PublicURL = "http://[" }, true},
		"a header that is absent":          {"{header:Nope}", func(*signature.Request) {}, true},
		"a field that is absent":           {"{json:None}", func(*signature.Request) {}, true},
		"a query that is absent":           {"{query:none}", func(*signature.Request) {}, true},
		"a parameter that is absent":       {"{param:none}", func(*signature.Request) {}, true},
	} {
		tpl, err := signature.ParseTemplate(c.template)
		if err != nil {
			t.Fatal(err)
		}
		r := formRequest("POST", "https://h.example/", "a=1", map[string]string{"X-List": "X-List,Date", "Date": "today"})
		c.change(r)
		if got, err := tpl.Fill(r, "", false); (err != nil) != c.refused {
			t.Errorf("%s: refused %t, expected %t: %q, %v", name, err != nil, c.refused, got, err)
		}
	}
}

// TestURLsAreWrittenAsTheyWereSigned is for schemes that sign parts of URLs.
func TestURLsAreWrittenAsTheyWereSigned(t *testing.T) {
	for _, c := range []struct{ template, method, address, body, want string }{
		{"{path_query_encoded}", "POST", "https://h.example", "", "/"},
		{"{path_query_encoded}", "POST", "https://h.example/a", "", "/a"},
		{"{path_query_encoded}", "POST", "https://h.example/a?", "", "/a"},
		{"{path_query_encoded}", "POST", "https://h.example/a?b='(x)*~_-.!Z9", "", "/a?b%253D'(x)*~_-.!Z9"},
		{"{path_query_encoded}", "POST", "/a?b", "", "/a?b"},
		{"{url_params_sorted:all}", "GET", "https://h.example/a?b=1", "a=2&b=0", "https://h.example/a?a=2&b=0&b=1"},
		{"{url_params_sorted:all}", "POST", "https://h.example/a", "", "https://h.example/a"},
		{"{url_params_sorted:all}", "POST", "https://h.example/a", "x=1", "https://h.example/a?x1"},
		{"{url_params_sorted:all}", "POST", "https://h.example/a?b=1", "", "https://h.example/a?b=1"},
		{"{url_params_sorted:all}", "POST", "https://h.example/a?b=1", "x=2", "https://h.example/a?b=1.x2"},
		{"{public_url_decoded}", "POST", "https://h.example/a%2Fb%3a%20", "", "https://h.example/a/b:%20"},
	} {
		tpl, err := signature.ParseTemplate(c.template)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tpl.Fill(formRequest(c.method, c.address, c.body, nil), "", false); err != nil || got != c.want {
			t.Errorf("%s of %s %s: %q, %v; expected %q", c.template, c.method, c.address, got, err, c.want)
		}
	}
}

// TestAmbiguousPlaceIsNotRead checks that a header with two values, or an XML element after
// a document type, is not used.
func TestAmbiguousPlaceIsNotRead(t *testing.T) {
	deep := strings.Repeat("<a>", 65) + "x" + strings.Repeat("</a>", 65)
	for name, c := range map[string]struct {
		place  signature.Place
		header []string
		body   string
		want   string
		ok     bool
	}{
		"a header":               {signature.Place{Header: "x-s"}, []string{"a"}, "", "a", true},
		"one value twice":        {signature.Place{Header: "X-S"}, []string{"a", "a"}, "", "a", true},
		"two values":             {signature.Place{Header: "X-S"}, []string{"a", "b"}, "", "", false},
		"a third value":          {signature.Place{Header: "X-S"}, []string{"a", "a", "b"}, "", "", false},
		"no header":              {signature.Place{Header: "X-S"}, nil, "", "", false},
		"a query parameter":      {signature.Place{Query: "q"}, nil, "", "1", true},
		"no such parameter":      {signature.Place{Query: "r"}, nil, "", "", false},
		"a form field":           {signature.Place{Form: "f"}, nil, "f=2", "2", true},
		"no such field":          {signature.Place{Form: "g"}, nil, "f=2", "", false},
		"a broken form":          {signature.Place{Form: "f"}, nil, "f=%", "", false},
		"the body":               {signature.Place{Body: true}, nil, " x ", "x", true},
		"no body":                {signature.Place{Body: true}, nil, "", "", false},
		"an element":             {signature.Place{XML: "r/a/b"}, nil, "<r><b>0</b><a><c>1</c><b> 2 </b></a></r>", "2", true},
		"an element with prefix": {signature.Place{XML: "r/a"}, nil, `<s:r xmlns:s="u"><s:a>1</s:a></s:r>`, "1", true},
		"another path":           {signature.Place{XML: "r/a"}, nil, "<r><b>1</b></r>", "", false},
		"a deeper element":       {signature.Place{XML: "r/a"}, nil, "<r><a><c>1</c></a></r>", "", false},
		"an end without a start": {signature.Place{XML: "r"}, nil, "</x><r>1</r>", "1", true},
		"a document type":        {signature.Place{XML: "r"}, nil, `<!DOCTYPE r [<!ENTITY e "1">]><r>1</r>`, "", false},
		"deep elements":          {signature.Place{XML: strings.TrimSuffix(strings.Repeat("a/", 65), "/")}, nil, deep, "", false},
		"less deep elements": {signature.Place{XML: strings.TrimSuffix(strings.Repeat("a/", 64), "/")}, nil,
			deep[3 : len(deep)-4], "x", true},
		"nothing": {signature.Place{}, nil, "x", "", false},
	} {
		r := formRequest("POST", "https://h.example/?q=1", c.body, nil)
		r.Header["X-S"] = c.header
		if got, ok := r.Read(c.place); ok != c.ok || ok && got != c.want {
			t.Errorf("%s: %q, %t; expected %q, %t", name, got, ok, c.want, c.ok)
		}
	}
}
