// Gcp serves resources with go-control-plane's caches, as its documentation shows them.
//
// It reads the resources from a file, prints its address as {"address": "HOST:PORT"}, and obeys lines on stdin:
// {"cluster": NAME, "address": IP} gives the first endpoint of the cluster's assignment another address. Changes that have come
// while the ones before were published are published together.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
)

type change struct{ Cluster, Address string }

// world is what is served: type URL -> name -> resource.
type world map[string]map[string]types.Resource

// publisher brings a change to the streams.
type publisher interface {
	cache.Cache
	publish(world, []change)
}

func main() {
	file := flag.String("resources", "", "DeltaDiscoveryResponse with everything to serve")
	kind := flag.String("cache", "snapshot", "snapshot or linear")
	flag.Parse()
	resources := read(*file)
	var served publisher
	if *kind == "linear" {
		served = newLinear(resources)
	} else {
		served = newSnapshots(resources)
	}
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	grpcServer := grpc.NewServer(grpc.MaxConcurrentStreams(1_000_000))
	discovery.RegisterAggregatedDiscoveryServiceServer(grpcServer, server.NewServer(context.Background(), served, nil))
	go func() { panic(grpcServer.Serve(listener)) }()
	fmt.Printf("{\"address\": %q}\n", listener.Addr())
	told := make(chan change, 100_000)
	go listen(told)
	for first := range told {
		changes := []change{first}
		for range len(told) {
			changes = append(changes, <-told)
		}
		for _, c := range changes {
			resources.change(c)
		}
		served.publish(resources, changes)
	}
}

// listen passes on what comes from stdin, until it ends.
func listen(told chan<- change) {
	defer close(told)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var c change
		check(json.Unmarshal(lines.Bytes(), &c))
		told <- c
	}
}

func read(file string) world {
	var all discovery.DeltaDiscoveryResponse
	check(proto.Unmarshal(must(os.ReadFile(file)), &all))
	found := world{}
	for _, resource := range all.Resources {
		url := resource.Resource.TypeUrl
		if found[url] == nil {
			found[url] = map[string]types.Resource{}
		}
		found[url][resource.Name] = must(resource.Resource.UnmarshalNew())
	}
	return found
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
