package workflows

import "time"

// Zone returns the project's time zone; UTC by default.
func (p *Project) Zone() *time.Location {
	if p == nil || p.Timezone == nil {
		return time.UTC
	}
	return p.Timezone
}
