package actions

import "github.com/hookloom/hookloom/workflows"

// usages are the examples that hookloom actions NAME shows for actions whose own file has none.
var usages = map[string]string{
	"log": `- uses: log
  with: {message: "order ${{ event.data.order }} came", fields: {total: "${{ event.data.total }}"}}
`,
	"http/get": `- id: stock
  uses: http/get
  with:
    url: https://stock.example.com/items/${{ event.data.sku }}
    query: {warehouse: berlin}
`,
	"http/head": `- id: report
  uses: http/head
  with: {url: https://reports.example.com/may.pdf, accept: [200, 404]}
`,
	"http/post": `- id: created
  uses: http/post
  with:
    url: https://fulfilment.example.com/orders
    body: {order: "${{ event.data.order }}", total: "${{ event.data.total }}"}
`,
	"http/put": `- id: changed
  uses: http/put
  with:
    url: https://fulfilment.example.com/orders/${{ event.data.order }}
    body: {status: paid}
`,
	"http/patch": `- id: changed
  uses: http/patch
  with:
    url: https://crm.example.com/contacts/${{ event.data.customer }}
    body: {last_order: "${{ event.data.order }}"}
`,
	"http/delete": `- uses: http/delete
  with: {url: "https://stock.example.com/holds/${{ event.data.order }}", accept: [200, 204, 404]}
`,
	"http/request": `- id: found
  uses: http/request
  with:
    method: POST
    url: https://crm.example.com/search
    form: {email: "${{ event.data.email }}"}
`,
	"store/get": `- id: seen
  uses: store/get
  with: {key: "last ${{ event.data.customer }}", default: none}
`,
	"store/set": `- uses: store/set
  with: {key: "last ${{ event.data.customer }}", value: "${{ event.data.order }}", ttl: 7d}
`,
	"store/delete": `- uses: store/delete
  with: {key: "last ${{ event.data.customer }}"}
`,
	"store/increment": `- id: number
  uses: store/increment
  with: {key: invoice_number, scope: project}
`,
	"hookloom/emit": `- uses: hookloom/emit
  with:
    trigger: invoice_ready
    key: ${{ event.data.order }}
    data: {order: "${{ event.data.order }}"}
`,
	"hookloom/answer": `- uses: hookloom/answer
  with:
    run: ${{ event.data.run }}
    verdict: approve
    by: ${{ event.data.user }}
`,
}

// httpOutputs are the outputs of http/ actions, without save and pages.
var httpOutputs = []workflows.ActionOutput{
	{Name: "status", Type: "integer", Help: "the HTTP status"},
	{Name: "headers", Type: "object", Help: "the headers of the response, by their names in lower case"},
	{Name: "body", Type: "any", Help: "the body: data if it is JSON, else text; with pages, the list of all items"},
	{Name: "url", Type: "string", Help: "the URL that answered"},
	{Name: "duration_ms", Type: "integer", Help: "how long the request took"},
}
