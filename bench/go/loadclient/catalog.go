package main

import (
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
)

// The types that an Envoy subscribes to, in the order in which it asks for them.
const (
	clusters = iota
	endpoints
	listeners
	routes
	kinds
)

var typeURLs = [kinds]string{
	"type.googleapis.com/envoy.config.cluster.v3.Cluster",
	"type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
	"type.googleapis.com/envoy.config.listener.v3.Listener",
	"type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
}

// resource is one version of a resource, shared by all streams that hold it.
type resource struct {
	id            int // of its name, from 0 in each type
	name, version string
	claim         []byte   // what a delta request says of who holds it, encoded once for all streams
	body          string   // kept of those that have no version
	needs         []string // names of the assignments of a cluster, or of the route configurations of a listener
	addresses     int      // of an assignment: how many endpoints it has
	change        int      // of an assignment: the newest of those that are followed
}

// catalog knows the newest resources of one type, so that what a thousand streams are sent is looked into once.
type catalog struct {
	kind   int
	crowd  *crowd
	lock   sync.RWMutex
	byName map[string]*resource
}

func (c *catalog) resource(f found) *resource {
	c.lock.RLock()
	known := c.byName[string(f.name)]
	c.lock.RUnlock()
	if known != nil && known.version == string(f.version) && (known.version != "" || known.body == string(f.body)) {
		return known
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	made := &resource{id: len(c.byName), name: string(f.name), version: string(f.version), needs: c.needs(f), change: none}
	if c.crowd.delta {
		made.claim = pair(5, made.name, made.version) // initial_resource_versions
	}
	if made.version == "" {
		made.body = string(f.body)
	}
	if c.kind == endpoints {
		made.addresses, made.change = c.crowd.lookInto(f.body)
	}
	if known = c.byName[made.name]; known != nil {
		made.id = known.id
	}
	c.byName[made.name] = made
	return made
}

func (c *catalog) id(name []byte) (int, bool) {
	c.lock.RLock()
	defer c.lock.RUnlock()
	known := c.byName[string(name)]
	if known == nil {
		return 0, false
	}
	return known.id, true
}

func (c *catalog) needs(f found) []string {
	switch c.kind {
	case clusters:
		return assignmentOf(f)
	case listeners:
		return routesOf(f.body)
	}
	return nil
}

// assignmentOf returns the name of a cluster's assignment if its type is EDS.
func assignmentOf(f found) []string {
	eds := first(f.body, 3) // eds_cluster_config
	if eds == nil {
		return nil
	}
	if name := first(eds, 2); name != nil { // service_name
		return []string{string(name)}
	}
	return []string{string(f.name)}
}

// routesOf returns the names of the route configurations that a listener's HTTP connection managers get by RDS.
func routesOf(listener []byte) (names []string) {
	chain := func(message []byte) {
		texts(message, func(number protowire.Number, filter []byte) {
			if number != 3 { // filters
				return
			}
			any := first(filter, 4) // typed_config
			if string(first(any, 1)) != connectionManager {
				return
			}
			if name := first(first(first(any, 2), 3), 2); name != nil { // rds.route_config_name
				names = append(names, string(name))
			}
		})
	}
	texts(listener, func(number protowire.Number, value []byte) {
		if number == 3 || number == 25 { // filter_chains, default_filter_chain
			chain(value)
		}
	})
	return names
}

const connectionManager = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
