package dashboards

import "testing"

func shownBy(t *testing.T, q *Queries) map[string]bool { return nil }
