package machine

// keyHeader of an event that calls a workflow is the key of the step that calls: all of
// its attempts carry the same one.
const keyHeader = "x-idempotency-key"
