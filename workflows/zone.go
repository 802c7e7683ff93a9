package workflows

import "time"

// Zone is the timezone of the project, UTC when it says none.
func (p *Project) Zone() *time.Location {
	if p == nil || p.Timezone == nil {
		return time.UTC
	}
	return p.Timezone
}
