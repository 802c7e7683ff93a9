package expr

import (
	"reflect"
	"testing"
	"time"
)

// unusualPlaces are expressions that read names in places that are easy to miss.
var unusualPlaces = []string{
	// $env, itself and its parts.
	`$env.vars.rate`,
	`$env["vars"].rate`,
	`$env?.inputs?.n`,
	`get($env, "event").key`,
	`get($env, "no")`,
	`"event" in $env`,
	`"no" in $env`,
	`let e = $env; e.steps.a.output.n`,
	`map([1], $env.vars.rate)`,
	`filter(event.data.items, .sku == $env.vars.sku)`,
	`map(filter(event.data.items, .price > 5), .price * $env.vars.rate)`,
	`inputs.on ? $env.run.id : 0`,
	`$env["ev" + "ent"].key`,
	`["vars"] | map($env[#].rate)`,
	`{(run.id): $env.index}`,
	// let, and names inside it.
	`let x = vars.rate; x + inputs.n`,
	`let x = event.data; let y = vars; x.n * y.rate`,
	`let x = index; map([1, 2], # + x + inputs.n)`,
	`map([1, 2], let y = vars.rate; # * y)`,
	// Predicates with # and ., which the optimizer may move.
	`map(filter(event.data.items, .price > 5), vars?.rate ?? 0)`,
	`map(filter(event.data.items, .price > 5), .price * vars.rate)`,
	`map(filter(event.data.items, .price > 5), vars.rate)`,
	`map(filter(event.data.items, .sku == vars.sku), {{sku: .sku, n: inputs.n}})`,
	`map(filter(event.data.items, true), steps.a.output.n + .price)`,
	`filter(event.data.items, .price > 5) | map({{id: run.id, p: .price}})`,
	`map(filter(map(event.data.items, .price), # > index), # + inputs.n)`,
	`map(filter(event.data.items, true), map(filter(.tags, # == vars.tag), # + run.id))`,
	`filter(event.data.items, .sku == vars.sku)[0].price`,
	`first(filter(event.data.items, .price > inputs.n))`,
	`last(filter(event.data.items, .price > inputs.n))`,
	`len(filter(event.data.items, .price > inputs.n))`,
	`count(event.data.items, .price > inputs.n) > index`,
	`count(event.data.items, .price > inputs.n) >= 1`,
	`any(event.data.items, .sku == vars.sku)`,
	`all(event.data.items, .price > inputs.n) and all(event.data.items, .price > index)`,
	`none(event.data.items, .sku == run.id)`,
	`one(event.data.items, vars.tag in .tags)`,
	`not any(event.data.items, .sku == vars.sku)`,
	`sum(event.data.items, .price * vars.rate)`,
	`sum(map(event.data.items, .price + inputs.n))`,
	`sum([inputs.n, vars.rate, index])`,
	`reduce(event.data.items, #acc + .price * vars.rate, inputs.n)`,
	`find(event.data.items, .sku == vars.sku).price`,
	`findIndex(event.data.items, .sku == vars.sku)`,
	`findLast(event.data.items, .price > inputs.n).sku`,
	`groupBy(event.data.items, .sku + run.id)`,
	`sortBy(event.data.items, .price * -vars.rate)[0].sku`,
	`map(event.data.items, #index + inputs.n)`,
	`map(event.data.items, get(#, vars.field))`,
	`map(event.data.items, #[vars.field])`,
	// Ternaries, ??, chains, slices, ranges, map keys, `in`, pipes.
	`inputs.on ? vars.rate : run.id`,
	`empty?.x ?? vars.rate`,
	`(empty ?? steps).a.output.n`,
	`event.data.name[index:inputs.n]`,
	`index..inputs.n`,
	`inputs.n in 1..5 ? vars.rate : index`,
	`{(vars.field): inputs.n}`,
	`event.data[vars.field] ?? index`,
	`vars.sku in ["a", "b"]`,
	`event.data.name | upper() | split(vars.no ?? "N")`,
	`event["data"]["n"] + steps["a"]["output"]["n"]`,
	`if inputs.on { vars.rate } else { run.id }`,
	`inputs.n == 3 || run.id == ""`,
	`not (inputs.n == 3 && vars.rate == 3)`,
	// Names that are also functions, and headers.
	`event.data.items | map(.sku) | join(run.id)`,
	`max(vars.rate, inputs.n, index)`,
	`min([vars.rate, inputs.n])`,
	`headers["X-A"] + event.headers["X-A"]`,
	`response.body.items | filter(.sku == item.sku) | map(.price + index)`,
	`string(item.price) + toJSON(vars)`,
	`now().Year() > inputs.n`,
	`event.data.name matches "A" + "n+"`,
	`event.data.name contains vars.tag or event.data.name startsWith run.id`,
}

// TestExpressionGetsEveryNameItReads checks that an evaluation gives the same with only the
// names that the expression reads as with all names, also for names in unusual places.
func TestExpressionGetsEveryNameItReads(t *testing.T) {
	items := []any{map[string]any{"sku": "a", "price": 5, "tags": []any{"x", "y"}}, map[string]any{"sku": "b", "price": 9, "tags": []any{"y"}}}
	names := Names{
		"event": map[string]any{"type": "paid", "key": "k", "headers": map[string]any{"x-a": "1"}, "data": map[string]any{"items": items,
			"n": 7, "name": "Ann"}},
		"vars": map[string]any{"rate": 2, "sku": "b", "field": "price", "tag": "x"}, "inputs": map[string]any{"n": 3, "on": true},
		"steps": map[string]any{"a": map[string]any{"output": map[string]any{"n": 4}}}, "run": map[string]any{"id": "run_1"},
		"item": map[string]any{"sku": "b", "price": 1}, "index": 1, "empty": nil,
		"response": map[string]any{"body": map[string]any{"items": items}}, "headers": map[string]any{"x-a": "2"},
	}
	all := make([]string, 0, len(names))
	for n := range names {
		all = append(all, n)
	}
	for _, text := range unusualPlaces {
		e, err := Compile(text, all...)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		env := &Env{Names: names, Now: time.Unix(1_800_000_000, 0).UTC(), Seed: "s"}
		got, gotErr := e.Eval(env)
		e.code.allNames, e.quick = true, nil
		want, wantErr := e.Eval(env)
		if wantErr != nil {
			t.Errorf("%s fails with all names: %v", text, wantErr)
		}
		if !reflect.DeepEqual(got, want) || (gotErr == nil) != (wantErr == nil) {
			t.Errorf("%s gives %v %v; with all names %v %v", text, got, gotErr, want, wantErr)
		}
	}
}
