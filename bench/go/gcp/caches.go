package main

import (
	"context"
	"maps"
	"slices"
	"strconv"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"
)

// change replaces an assignment by one with another address; what is served already stays as it is.
func (w world) change(c change) {
	assignments := w[resource.EndpointType]
	changed := proto.Clone(assignments[c.Cluster]).(*endpoint.ClusterLoadAssignment)
	for _, locality := range changed.Endpoints {
		if len(locality.LbEndpoints) > 0 {
			locality.LbEndpoints[0].GetEndpoint().Address.GetSocketAddress().Address = c.Address
			break
		}
	}
	assignments[c.Cluster] = changed
}

// everyone is the one group to which all nodes belong.
type everyone struct{}

func (everyone) ID(*core.Node) string { return "everyone" }

// snapshots is the snapshot cache: a change is a new snapshot, in which the version of endpoints alone is new.
type snapshots struct {
	cache.SnapshotCache
	version int
	last    *cache.Snapshot
}

func newSnapshots(w world) *snapshots {
	made := &snapshots{SnapshotCache: cache.NewSnapshotCache(true, everyone{}, nil)}
	made.publish(w, nil)
	return made
}

func (s *snapshots) publish(w world, _ []change) {
	s.version++
	all := map[resource.Type][]types.Resource{}
	for url, resources := range w {
		all[url] = slices.Collect(maps.Values(resources))
	}
	snapshot := must(cache.NewSnapshot(strconv.Itoa(s.version), all))
	for kind := range snapshot.Resources {
		if s.last != nil && types.ResponseType(kind) != types.Endpoint {
			snapshot.Resources[kind] = s.last.Resources[kind]
		}
	}
	check(s.SetSnapshot(context.Background(), "everyone", snapshot))
	s.last = snapshot
}

// linear is a linear cache for each type behind a mux: a change is an update of one resource.
type linear struct {
	cache.MuxCache
	byType map[string]*cache.LinearCache
}

func newLinear(w world) *linear {
	made := &linear{byType: map[string]*cache.LinearCache{}}
	made.Caches = map[string]cache.Cache{}
	for url, resources := range w {
		made.byType[url] = cache.NewLinearCache(url, cache.WithInitialResources(resources))
		made.Caches[url] = made.byType[url]
	}
	made.Classify = func(request *cache.Request) string { return request.TypeUrl }
	made.ClassifyDelta = func(request *cache.DeltaRequest) string { return request.TypeUrl }
	return made
}

func (l *linear) publish(w world, changes []change) {
	changed := map[string]types.Resource{}
	for _, c := range changes {
		changed[c.Cluster] = w[resource.EndpointType][c.Cluster]
	}
	check(l.byType[resource.EndpointType].UpdateResources(changed, nil))
}
