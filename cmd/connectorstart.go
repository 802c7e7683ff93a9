package cmd

// connectorStart is the file that hookloom connector new writes.
const connectorStart = `# How to reach a service. Workflows write: uses: NAME/contacts.create
# hookloom schema connector prints the JSON Schema of this file.
connector: NAME
version: 1
description: Contacts of NAME.
# docs: https://example.com/docs
base_url: https://${{ connection.region }}.api.example.com/v1

# What a connection in hookloom.yaml must say.
connection:
  region: {type: string, default: eu, options: [eu, us], description: where the account is}
  token: {type: string, secret: true, required: true, description: an API token}

# Also: basic, header, query, oauth2, jwt_bearer, aws_sigv4, tls, or auth: none.
auth:
  bearer: ${{ connection.token }}

headers:
  Accept: application/json

# The header that carries the key of a step that writes; none sends none.
idempotency_header: Idempotency-Key

# What refusals mean. Without these the status decides.
errors:
  message: response.body?.message
  wait: {status: 429, after: "response.headers['x-ratelimit-reset']"}
  retry: {status: 500-599}
  permanent: {body: "response.body?.error == 'invalid'", code: invalid}

defaults:
  timeout: 10s
  retry: {max: 3, when: "error.retryable"}
  rate: 10/s

actions:
  contacts.create:
    description: Creates a contact.
    idempotency: key
    inputs:
      email: {type: string, required: true, description: the contact's address}
      name: {type: string}
      tags: {type: list, of: [string]}
    request:
      method: POST
      path: /contacts
      body:
        email: ${{ inputs.email }}
        name: ${{ inputs.name }}
        tags: ${{ inputs.tags }}
    output:
      id: ${{ response.body.id }}
    # The types of the output; a name that ends in ? may be nil.
    returns:
      id: string
    # A call and its response: hookloom connector test checks it.
    example:
      with: {email: ada@example.com, name: Ada}
      request: {path: /contacts, body: {email: ada@example.com, name: Ada}}
      response: {status: 201, body: {id: c_1}}
      output: {id: c_1}

  contacts.list:
    description: Lists the contacts, page by page.
    inputs:
      tag: {type: string}
    request:
      path: /contacts
      query: {tag: "${{ inputs.tag }}"}
    # One of: next (a URL or header link), page, offset, token.
    pages:
      items: response.body.contacts
      token: response.body.next
      query: cursor
      max_items: 1000
    output:
      contacts: ${{ items }}
      more: ${{ more }}
    returns: {contacts: [object], more: boolean}
    example:
      with: {tag: vip}
      request: {query: {tag: vip}}
      response: {body: {contacts: [{id: c_1}], next: null}}
      output: {contacts: [{id: c_1}], more: false}
`
