// SPDX-License-Identifier: Apache-2.0

// render CHART NAMESPACE KUBE_VERSION [NAME.PATH=YAML...]: what `helm template` prints for a chart that uses text/template,
// sprig, include, tpl, toYaml and required. Helm itself is in no package of Debian 12; its engine is just that.
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"gopkg.in/yaml.v3"
)

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "render:", err)
		os.Exit(1)
	}
}

func load(path string) map[string]interface{} {
	text, err := os.ReadFile(path)
	fail(err)
	values := map[string]interface{}{}
	fail(yaml.Unmarshal(text, &values))
	return values
}

func set(values map[string]interface{}, assignment string) {
	path, text, ok := strings.Cut(assignment, "=")
	if !ok {
		fail(fmt.Errorf("%s: NAME.PATH=YAML is wanted", assignment))
	}
	var value interface{}
	fail(yaml.Unmarshal([]byte(text), &value))
	names := strings.Split(path, ".")
	for _, name := range names[:len(names)-1] {
		values = values[name].(map[string]interface{})
	}
	if _, known := values[names[len(names)-1]]; !known {
		fail(fmt.Errorf("%s: values.yaml has no such value", path))
	}
	values[names[len(names)-1]] = value
}

func toYAML(v interface{}) (string, error) {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	err := encoder.Encode(v)
	return strings.TrimSuffix(out.String(), "\n"), err
}

func main() {
	if len(os.Args) < 4 {
		fail(fmt.Errorf("usage: render CHART NAMESPACE KUBE_VERSION [NAME.PATH=YAML...]"))
	}
	dir := os.Args[1]
	chart, values := load(filepath.Join(dir, "Chart.yaml")), load(filepath.Join(dir, "values.yaml"))
	for _, assignment := range os.Args[4:] {
		set(values, assignment)
	}
	root := template.New("").Option("missingkey=error")
	functions := sprig.TxtFuncMap()
	functions["toYaml"] = toYAML
	functions["include"] = func(name string, data interface{}) (string, error) {
		var out bytes.Buffer
		err := root.ExecuteTemplate(&out, name, data)
		return out.String(), err
	}
	functions["required"] = func(message string, v interface{}) (interface{}, error) {
		if v == nil || v == "" {
			return nil, fmt.Errorf("%s", message)
		}
		return v, nil
	}
	root.Funcs(functions)
	files, err := filepath.Glob(filepath.Join(dir, "templates", "*"))
	fail(err)
	sort.Strings(files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		fail(err)
		_, err = root.New(file).Parse(string(text))
		fail(err)
	}
	data := map[string]interface{}{
		"Values":  values,
		"Chart":   map[string]interface{}{"Name": chart["name"], "Version": chart["version"], "AppVersion": chart["appVersion"]},
		"Release": map[string]interface{}{"Name": "laneway", "Namespace": os.Args[2], "Service": "Helm"},
		"Capabilities": map[string]interface{}{
			"KubeVersion": map[string]interface{}{"Version": os.Args[3], "GitVersion": os.Args[3]}},
	}
	for _, file := range files {
		if filepath.Ext(file) != ".yaml" && filepath.Base(file) != "NOTES.txt" {
			continue
		}
		var out bytes.Buffer
		fail(root.ExecuteTemplate(&out, file, data))
		if filepath.Ext(file) == ".yaml" {
			fmt.Printf("---\n# Source: %s\n%s\n", filepath.Base(file), out.String())
		}
	}
}
