package dashboards

import (
	"slices"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// uuid matches the identifier of a GPU or an instance. Its first eight digits tell them apart, and leave room for the
// rest of a legend or a row.
const uuid = "([0-9a-f]{8})(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"

// widths are those of columns, in pixels, whose values are all long or all short. The others share what is left.
var widths = map[string]int{"alertname": 190, "hw_name": 190, "severity": 90}

// hasUUID are the labels whose values may have one.
var hasUUID = []string{"hw_id", "hw_parent", "instance"}

// arrange puts the answers of a table's queries side by side and shows the columns that were asked for.
func (p panel) arrange() []dashboard.DataTransformerConfig {
	order, titles, keep := map[string]int{}, map[string]string{}, []string{}
	for i, c := range p.columns {
		order[c.field] = i
		titles[c.field] = c.title
		keep = append(keep, c.field)
	}
	var built []dashboard.DataTransformerConfig
	if len(p.queries) > 1 {
		built = append(built, dashboard.DataTransformerConfig{Id: "merge", Options: map[string]any{}})
	}
	return append(
		built,
		dashboard.DataTransformerConfig{Id: "filterFieldsByName", Options: map[string]any{
			"include": map[string]any{"pattern": "^(" + strings.Join(keep, "|") + ")$"},
		}},
		dashboard.DataTransformerConfig{Id: "organize", Options: map[string]any{
			"indexByName": order, "renameByName": titles, "excludeByName": map[string]bool{},
		}},
	)
}

// overrides give the columns of a table their units and links.
func (p panel) overrides() []dashboard.DashboardFieldConfigSourceOverrides {
	built := []dashboard.DashboardFieldConfigSourceOverrides{}
	for _, c := range p.columns {
		o := dashboard.DashboardFieldConfigSourceOverrides{Matcher: dashboard.MatcherConfig{Id: "byName", Options: c.title}}
		if c.unit != "" {
			o.Properties = append(o.Properties, dashboard.DynamicConfigValue{Id: "unit", Value: c.unit})
		}
		if c.unit == "short" {
			o.Properties = append(o.Properties, dashboard.DynamicConfigValue{Id: "decimals", Value: 0})
		}
		if len(c.links) > 0 {
			o.Properties = append(o.Properties, dashboard.DynamicConfigValue{Id: "links", Value: dataLinks(c.links)})
		}
		if mappings := c.mappings(); len(mappings) > 0 {
			o.Properties = append(o.Properties, dashboard.DynamicConfigValue{Id: "mappings", Value: mappings})
		}
		if w, fixed := widths[c.field]; fixed {
			o.Properties = append(o.Properties, dashboard.DynamicConfigValue{Id: "custom.width", Value: w})
		}
		if len(c.words) > 0 {
			o.Properties = append(o.Properties, dashboard.DynamicConfigValue{
				Id: "custom.cellOptions", Value: map[string]any{"type": common.TableCellDisplayModeColorText},
			})
		}
		if len(o.Properties) > 0 {
			built = append(built, o)
		}
	}
	return built
}

// shorten cuts identifiers in the legend of a plot.
func (p panel) shorten() []dashboard.DataTransformerConfig {
	long := slices.ContainsFunc(p.queries, func(q query) bool {
		return slices.ContainsFunc(hasUUID, func(label string) bool { return strings.Contains(q.legend, "{{"+label+"}}") })
	})
	if !long {
		return nil
	}
	return []dashboard.DataTransformerConfig{{Id: "renameByRegex", Options: map[string]any{"regex": "/" + uuid + "/g", "renamePattern": "$1"}}}
}

// mappings are the words of a column, and the short form of identifiers.
func (c column) mappings() []dashboard.ValueMapping {
	var built []dashboard.ValueMapping
	if slices.Contains(hasUUID, c.field) {
		built = append(built, dashboard.ValueMapping{RegexMap: &dashboard.RegexMap{
			Type:    dashboard.MappingTypeRegexToText,
			Options: dashboard.DashboardRegexMapOptions{Pattern: "/" + uuid + "/g", Result: dashboard.ValueMappingResult{Text: cog.ToPtr("$1")}},
		}})
	}
	return append(built, said(c.words)...)
}

// said maps values to words.
func said(words []word) []dashboard.ValueMapping {
	if len(words) == 0 {
		return nil
	}
	values := make(map[string]dashboard.ValueMappingResult)
	for i, w := range words {
		values[w.value] = dashboard.ValueMappingResult{Text: &w.text, Color: &w.color, Index: cog.ToPtr(int32(i))}
	}
	return []dashboard.ValueMapping{{ValueMap: &dashboard.ValueMap{Type: dashboard.MappingTypeValueToText, Options: values}}}
}
