package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// crowd is all streams, and what they share.
type crowd struct {
	address  string
	delta    bool
	clusters int // EDS clusters that each stream must have before it counts as synced
	streams  []*stream
	catalogs [kinds]*catalog
	expected expectations
	followed atomic.Pointer[following]
	syncs    *moments
	opened   *moments     // when each had asked for what it asks for without being answered
	lost     atomic.Int64 // how often a server refused a stream or ended it
	closing  atomic.Bool
	running  sync.WaitGroup
	failed   chan error
}

func newCrowd(address string, delta bool, template string, clusters, streams int) *crowd {
	c := &crowd{address: address, delta: delta, clusters: clusters, failed: make(chan error, streams)}
	for kind := range c.catalogs {
		c.catalogs[kind] = &catalog{kind: kind, crowd: c, byName: map[string]*resource{}}
	}
	for number := range streams {
		c.streams = append(c.streams, &stream{crowd: c, number: number, node: node(template, number)})
	}
	return c
}

// connect opens every stream, each over a connection of its own, all at once.
func (c *crowd) connect() {
	c.opened, c.syncs = newMoments(len(c.streams)), newMoments(len(c.streams))
	c.closing.Store(false)
	c.lost.Store(0)
	for _, s := range c.streams {
		s.synced = false
		s.bytes.Store(0)
		s.resources.Store(0)
		c.running.Add(1)
		go func() {
			defer c.running.Done()
			for tries := 0; ; tries++ {
				err := c.serve(s)
				if c.closing.Load() {
					return
				}
				if tries == patience {
					c.failed <- fmt.Errorf("stream %d: %w", s.number, err)
				}
				c.lost.Add(1)
				time.Sleep(pause(tries))
			}
		}()
	}
}

// patience is how often a stream tries again.
const patience = 50

// pause returns how long an Envoy that was refused waits until it tries again.
func pause(tries int) time.Duration {
	return time.Duration(rand.Float64() * float64(min(500*time.Millisecond<<min(tries, 6), 30*time.Second)))
}

func (c *crowd) serve(s *stream) (err error) {
	if s.connection, err = dial(c.address, c.method()); err != nil {
		return err
	}
	return s.run()
}

// disconnect closes every connection; streams keep what they hold.
func (c *crowd) disconnect() {
	c.closing.Store(true)
	for _, s := range c.streams {
		s.connection.net.Close()
	}
	c.running.Wait()
}

func (c *crowd) totals() (bytes, resources int64) {
	for _, s := range c.streams {
		bytes += s.bytes.Load()
		resources += s.resources.Load()
	}
	return bytes, resources
}

// fewest returns how many endpoints the stream had that had the fewest when it was synced.
func (c *crowd) fewest() int {
	return slices.MinFunc(c.streams, func(one, other *stream) int { return one.endpoints - other.endpoints }).endpoints
}

func (c *crowd) decode(message []byte) response {
	if c.delta {
		return decodeDelta(message)
	}
	return decodeSotw(message)
}

func (c *crowd) deltaOr(delta, sotw protowire.Number) protowire.Number {
	if c.delta {
		return delta
	}
	return sotw
}

func (c *crowd) method() string {
	name := "StreamAggregatedResources"
	if c.delta {
		name = "DeltaAggregatedResources"
	}
	return "/envoy.service.discovery.v3.AggregatedDiscoveryService/" + name
}

// node returns the bytes of a stream's core.v3.Node, of which the template is JSON.
func node(template string, number int) string {
	var node core.Node
	text := strings.ReplaceAll(template, "{number}", strconv.Itoa(number))
	if err := protojson.Unmarshal([]byte(text), &node); err != nil {
		panic(err)
	}
	node.UserAgentName = "envoy"
	encoded, err := proto.Marshal(&node)
	if err != nil {
		panic(err)
	}
	return string(encoded)
}

func kindOf(typeURL string) int {
	for kind, known := range typeURLs {
		if known == typeURL {
			return kind
		}
	}
	panic("a response of a type that was not asked for: " + typeURL)
}
