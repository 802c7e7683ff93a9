// Package registry holds the current configuration: the project and its listeners (Snapshot), the
// versions that runs are pinned to and the files those use, switches, secrets, masks, and what the
// expressions of a run see (RunContext). It decides nothing and stores no event and no run. It must
// not know inboxes, slots, attempts or schedules: the packages that decide, execute and give orders
// call it, and it calls none of them.
package registry
