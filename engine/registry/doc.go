// Package registry is what is in force: the project and who listens to which trigger
// (Snapshot), the versions that runs are pinned to and what those use, switches, secrets, masks,
// and what the expressions of a run see (RunContext). It decides nothing and stores no event and
// no run. It must not know of inboxes, slots, attempts or schedules: who decides, who runs and
// who gives orders ask it, and it asks none of them.
package registry
