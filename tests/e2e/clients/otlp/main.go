// The OpenTelemetry collector's receiver of OTLP over HTTP; it prints each span that it takes.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
)

func show(_ context.Context, traces ptrace.Traces) error {
	for _, of := range traces.ResourceSpans().All() {
		member, _ := of.Resource().Attributes().Get("service.instance.id")
		service, _ := of.Resource().Attributes().Get("service.name")
		for _, scope := range of.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				fmt.Println("span", service.AsString(), member.AsString(), span.Name(), span.Kind(),
					span.TraceID(), span.SpanID(), span.ParentSpanID())
			}
		}
	}
	return nil
}

func main() {
	factory := otlpreceiver.NewFactory()
	config := factory.CreateDefaultConfig()
	settings := map[string]any{"protocols": map[string]any{"http": map[string]any{"endpoint": os.Args[1]}}}
	if err := confmap.NewFromStringMap(settings).Unmarshal(config); err != nil {
		log.Fatal(err)
	}
	next, err := consumer.NewTraces(show)
	if err != nil {
		log.Fatal(err)
	}
	receiver, err := factory.CreateTraces(context.Background(), receivertest.NewNopSettings(factory.Type()), config, next)
	if err != nil {
		log.Fatal(err)
	}
	if err := receiver.Start(context.Background(), componenttest.NewNopHost()); err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening")
	select {}
}
