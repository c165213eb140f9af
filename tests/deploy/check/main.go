// Reads generated files as the programs they are for do: compose files with Docker Compose's own loader, manifests
// strictly into the API's own types and, where a kind is no built-in one, against the schema that its operator installs
// (CRDS names the folders with the definitions). One path per argument; prints what is wrong with each and exits 1.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	rayv1 "github.com/ray-project/kuberay/ray-operator/apis/ray/v1"
	"github.com/santhosh-tekuri/jsonschema/v6"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
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
	"networking.k8s.io/v1/NetworkPolicy":          func() any { return &networkingv1.NetworkPolicy{} },
	"ray.io/v1/RayCluster":                        func() any { return &rayv1.RayCluster{} },
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

var schemas = map[string]*jsonschema.Schema{}

// learn: the schemas of a definition's versions, by "group/version/Kind".
func learn(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var crd struct {
		Spec struct {
			Group    string
			Names    struct{ Kind string }
			Versions []struct {
				Name   string
				Schema struct{ OpenAPIV3Schema json.RawMessage }
			}
		}
	}
	if err := strict.Unmarshal(text, &crd); err != nil {
		return err
	}
	for _, version := range crd.Spec.Versions {
		name := crd.Spec.Group + "/" + version.Name + "/" + crd.Spec.Names.Kind
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(version.Schema.OpenAPIV3Schema))
		if err != nil {
			return err
		}
		c := jsonschema.NewCompiler()
		if err := c.AddResource("crd:"+name, doc); err != nil {
			return err
		}
		if schemas[name], err = c.Compile("crd:" + name); err != nil {
			return err
		}
	}
	return nil
}

func learnAll(folders string) error {
	for _, folder := range strings.Fields(folders) {
		paths, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
		if err == nil && len(paths) == 0 {
			err = fmt.Errorf("%s: no definitions", folder)
		}
		for _, path := range paths {
			if err == nil {
				err = learn(path)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func bySchema(kind string, text []byte) error {
	schema, ok := schemas[kind]
	if !ok {
		if strings.Contains(kind, ".io/") && !strings.Contains(kind, "networking.k8s.io/") {
			return fmt.Errorf("no definition of %s in CRDS", kind)
		}
		return nil
	}
	plain, err := strict.YAMLToJSON(text)
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(plain))
	if err != nil {
		return err
	}
	return schema.Validate(value)
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
	if err := bySchema(head.APIVersion+"/"+head.Kind, text); err != nil {
		return err
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
	if err := learnAll(os.Getenv("CRDS")); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
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
