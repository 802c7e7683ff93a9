package workflows_test

import (
	"path/filepath"
	"testing"

	"github.com/hookloom/hookloom/workflows"
)

// TestAConnectorThatCannotBeReadIsReportedOnce, and not again where a connection or a step names it.
func TestAConnectorThatCannotBeReadIsReportedOnce(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"connectors/crm.yaml": "connector: crm\nactions: {a.b: {request: [}}\n",
		"hookloom.yaml":       "connections: {sales: {connector: crm, base_url: \"https://crm.example.com\"}}\n",
		"workflows/w.yaml":    "on: manual\nsteps: [{uses: crm/a.b, with: {connection: sales}}]\n",
	} {
		write(t, filepath.Join(dir, name), []byte(text))
	}
	_, mistakes := workflows.Load(dir, catalog(t), nil)
	if len(mistakes) != 1 || mistakes[0].File != "connectors/crm.yaml" || mistakes[0].Code != "yaml" {
		t.Errorf("want the connector's mistake alone, got\n%s", mistakes.Error())
	}
}
