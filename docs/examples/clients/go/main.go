// Makes a ConfigMap and watches it come and go.
package main

import (
	"context"
	"fmt"
	"log"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

func main() {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		clientcmd.NewDefaultClientConfigLoadingRules(), nil).ClientConfig()
	check(err)
	maps := kubernetes.NewForConfigOrDie(config).CoreV1().ConfigMaps("default")
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()

	events, err := maps.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=from-go"})
	check(err)
	_, err = maps.Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "from-go"},
		Data:       map[string]string{"text": "hello"},
	}, metav1.CreateOptions{})
	check(err)
	for event := range events.ResultChan() {
		fmt.Println(event.Type, event.Object.(*corev1.ConfigMap).Name)
		switch event.Type {
		case watch.Added:
			check(maps.Delete(ctx, "from-go", metav1.DeleteOptions{}))
		case watch.Deleted:
			return
		}
	}
	log.Fatal("the watch ended before the object did")
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
