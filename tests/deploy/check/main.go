// Reads generated files as the programs they are for do: compose files with Docker Compose's own loader, manifests
// strictly into the API's own types. One path per argument; prints what is wrong with each and exits 1.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	lws "sigs.k8s.io/lws/api/leaderworkerset/v1"
	strict "sigs.k8s.io/yaml"
)

var kinds = map[string]func() any{
	"v1/PersistentVolumeClaim":                    func() any { return &corev1.PersistentVolumeClaim{} },
	"v1/Service":                                  func() any { return &corev1.Service{} },
	"v1/ConfigMap":                                func() any { return &corev1.ConfigMap{} },
	"apps/v1/Deployment":                          func() any { return &appsv1.Deployment{} },
	"policy/v1/PodDisruptionBudget":               func() any { return &policyv1.PodDisruptionBudget{} },
	"leaderworkerset.x-k8s.io/v1/LeaderWorkerSet": func() any { return &lws.LeaderWorkerSet{} },
}

func compose(path string, text []byte) error {
	details := types.ConfigDetails{
		WorkingDir:  filepath.Dir(path),
		ConfigFiles: []types.ConfigFile{{Filename: path, Content: text}},
		Environment: types.Mapping{},
	}
	for _, pair := range os.Environ() {
		if name, value, ok := strings.Cut(pair, "="); ok {
			details.Environment[name] = value
		}
	}
	_, err := loader.LoadWithContext(context.Background(), details, func(o *loader.Options) { o.SetProjectName("check", true) })
	return err
}

func document(text []byte) error {
	var head struct{ APIVersion, Kind string }
	if err := strict.Unmarshal(text, &head); err != nil {
		return err
	}
	make, ok := kinds[head.APIVersion+"/"+head.Kind]
	if !ok {
		return fmt.Errorf("no kind %s/%s", head.APIVersion, head.Kind)
	}
	object := make()
	if err := strict.UnmarshalStrict(text, object); err != nil {
		return fmt.Errorf("%s: %w", head.Kind, err)
	}
	return consistent(object)
}

// consistent: what a server refuses and types cannot tell: a selector has to match the pods' labels.
func consistent(object any) error {
	d, ok := object.(*appsv1.Deployment)
	if !ok {
		return nil
	}
	for key, value := range d.Spec.Selector.MatchLabels {
		if d.Spec.Template.Labels[key] != value {
			return fmt.Errorf("Deployment %s: selector %s=%s matches no pod", d.Name, key, value)
		}
	}
	return nil
}

func manifests(text []byte) error {
	count := 0
	for _, part := range strings.Split(string(text), "\n---\n") {
		if err := document([]byte(part)); err != nil {
			return err
		}
		count++
	}
	if count == 0 {
		return errors.New("no document")
	}
	return nil
}

func main() {
	bad := 0
	for _, path := range os.Args[1:] {
		text, err := os.ReadFile(path)
		if err == nil && strings.HasSuffix(path, "compose.yaml") {
			err = compose(path, text)
		} else if err == nil {
			err = manifests(text)
		}
		if err != nil {
			fmt.Printf("%s: %v\n", path, err)
			bad = 1
		}
	}
	os.Exit(bad)
}
