// An informer of client-go on the ConfigMaps of a namespace, in protobuf as controllers use it: it prints every event, and
// how each of its watches began. Usage: informer <kubeconfig> <namespace>; it ends with its input.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

var printing sync.Mutex

func say(format string, args ...any) {
	printing.Lock()
	defer printing.Unlock()
	fmt.Printf(format+"\n", args...)
}

func client(kubeconfig string) (*rest.RESTClient, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	metav1.AddToGroupVersion(scheme, corev1.SchemeGroupVersion)
	config.APIPath = "/api"
	config.GroupVersion = &corev1.SchemeGroupVersion
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	return rest.RESTClientFor(config)
}

// counted prints how lists and watches begin: with the state as it is, or from where the last one ended.
func counted(inner *cache.ListWatch) *cache.ListWatch {
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			say("BEGIN list")
			return inner.ListWithContextFunc(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			watching, err := inner.WatchFuncWithContext(ctx, options)
			if err == nil && options.SendInitialEvents != nil && *options.SendInitialEvents {
				say("BEGIN watch")
			} else if err == nil {
				say("RESUME %s", options.ResourceVersion)
			}
			return watching, err
		},
	}
}

func run() error {
	if len(os.Args) != 3 {
		return fmt.Errorf("usage: informer <kubeconfig> <namespace>")
	}
	rest, err := client(os.Args[1])
	if err != nil {
		return err
	}
	source := cache.NewListWatchFromClient(rest, "configmaps", os.Args[2], fields.Everything())
	informer := cache.NewSharedIndexInformer(counted(source), &corev1.ConfigMap{}, 0, cache.Indexers{})
	event := func(kind string, object any) {
		if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
			object = tombstone.Obj
		}
		if found, ok := object.(*corev1.ConfigMap); ok {
			say("%s %s %s", kind, found.Name, found.Data["n"])
		}
	}
	_, err = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { event("ADDED", object) },
		UpdateFunc: func(_, object any) { event("MODIFIED", object) },
		DeleteFunc: func(object any) { event("DELETED", object) },
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	go func() {
		if cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
			say("SYNCED")
		}
	}()
	informer.RunWithContext(ctx)
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
