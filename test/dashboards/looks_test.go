package dashboards

import (
	"regexp"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
)

// laptop is the width of the narrowest screen that shows a dashboard without scrolling, in pixels.
const laptop = 1280.0

// TestStatsWithoutDataAreNeitherGoodNorBad looks for the mapping that gives nothing a text and a colour of its own. Without
// it, Grafana draws "no data" in the colour of the first step, which is green for most and red for the goodput.
func TestStatsWithoutDataAreNeitherGoodNorBad(t *testing.T) {
	for name, d := range Boards() {
		for _, p := range panels(d) {
			if p.Type != kindStat {
				continue
			}
			mappings := p.FieldConfig.Defaults.Mappings
			if len(mappings) == 0 || mappings[0].SpecialValueMap == nil {
				t.Errorf("%s, %s: got the mappings %v, want one of no value", name, *p.Title, mappings)
				continue
			}
			nothing := mappings[0].SpecialValueMap.Options
			if nothing.Match != dashboard.SpecialValueMatchNullAndNan || *nothing.Result.Text == "" || *nothing.Result.Color != noColor {
				t.Errorf("%s, %s: got %v, want a text and the colour %s for no value", name, *p.Title, nothing, noColor)
			}
		}
	}
}

// TestIdentifiersAreShort looks at every legend with an identifier for the transformation that cuts it.
func TestIdentifiersAreShort(t *testing.T) {
	const long, short = "GPU-5f1c3a00-0b7e-4d92-a3c4-0000007e5700/nvlink (92924cbf-28d5-4396-811f-ed8da678a9c7)", "GPU-5f1c3a00/nvlink (92924cbf)"
	for name, d := range Boards() {
		for _, p := range panels(d) {
			if p.Type != kindPlot || !showsIdentifier(p) {
				continue
			}
			if len(p.Transformations) != 1 || p.Transformations[0].Id != "renameByRegex" {
				t.Errorf("%s, %s: got the transformations %v, want one that cuts identifiers", name, *p.Title, p.Transformations)
				continue
			}
			options := p.Transformations[0].Options.(map[string]any)
			pattern := strings.TrimSuffix(strings.TrimPrefix(options["regex"].(string), "/"), "/g")
			if got := regexp.MustCompile(pattern).ReplaceAllString(long, options["renamePattern"].(string)); got != short {
				t.Errorf("%s, %s: got %q of %q, want %q", name, *p.Title, got, long, short)
			}
		}
	}
}

func showsIdentifier(p dashboard.Panel) bool {
	for _, target := range p.Targets {
		for _, label := range hasUUID {
			if strings.Contains(*target.(prometheus.Dataquery).LegendFormat, "{{"+label+"}}") {
				return true
			}
		}
	}
	return false
}

// TestTablesFit compares what the columns of a table take at least with its width on a laptop's screen.
func TestTablesFit(t *testing.T) {
	for name, d := range Boards() {
		for _, p := range panels(d) {
			if p.Type != kindTable {
				continue
			}
			columns := p.Transformations[len(p.Transformations)-1].Options.(map[string]any)["renameByName"].(map[string]string)
			need, have := leastColumn*float64(len(columns)), laptop*float64(p.GridPos.W)/24
			if need > have {
				t.Errorf("%s, %s: %d columns take %.0f pixels, want at most %.0f", name, *p.Title, len(columns), need, have)
			}
		}
	}
}
