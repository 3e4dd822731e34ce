package main

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// crowd is all streams, and what they share.
type crowd struct {
	address  string
	delta    bool
	template string // of the node, as JSON
	clusters int    // EDS clusters that each stream must have before it counts as synced
	streams  []*stream
	catalogs [kinds]*catalog
	expected expectations
	syncs    *moments
	opened   *moments // when each had asked for what it asks for without being answered
	closing  atomic.Bool
	running  sync.WaitGroup
	stop     context.CancelFunc
	failed   chan error
}

func newCrowd(address string, delta bool, template string, clusters, streams int) *crowd {
	c := &crowd{address: address, delta: delta, template: template, clusters: clusters, failed: make(chan error, streams)}
	for kind := range c.catalogs {
		c.catalogs[kind] = &catalog{kind: kind, byName: map[string]*resource{}}
	}
	for number := range streams {
		c.streams = append(c.streams, &stream{crowd: c, number: number})
	}
	return c
}

// connect opens every stream, each over a connection of its own, all at once.
func (c *crowd) connect() {
	c.opened, c.syncs = newMoments(len(c.streams)), newMoments(len(c.streams))
	c.closing.Store(false)
	var ctx context.Context
	ctx, c.stop = context.WithCancel(context.Background())
	for _, s := range c.streams {
		s.synced = false
		s.bytes.Store(0)
		s.resources.Store(0)
		c.running.Add(1)
		go func() {
			defer c.running.Done()
			if err := c.serve(ctx, s); !c.closing.Load() {
				c.failed <- fmt.Errorf("stream %d: %w", s.number, err)
			}
		}()
	}
}

func (c *crowd) serve(ctx context.Context, s *stream) error {
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(raw{}), grpc.MaxCallRecvMsgSize(math.MaxInt32)),
	}
	connection, err := grpc.NewClient("passthrough:///"+c.address, options...)
	if err != nil {
		return err
	}
	defer connection.Close()
	return s.run(ctx, connection)
}

// disconnect closes every connection; streams keep what they hold.
func (c *crowd) disconnect() {
	c.closing.Store(true)
	c.stop()
	c.running.Wait()
}

func (c *crowd) totals() (bytes, resources int64) {
	for _, s := range c.streams {
		bytes += s.bytes.Load()
		resources += s.resources.Load()
	}
	return bytes, resources
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

// node returns the bytes of a stream's core.v3.Node.
func (c *crowd) node(number int) string {
	var node core.Node
	text := strings.ReplaceAll(c.template, "{number}", strconv.Itoa(number))
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

// raw is a codec that leaves bytes alone.
type raw struct{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(value any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(value.([]byte))}, nil
}

func (raw) Unmarshal(data mem.BufferSlice, value any) error {
	*value.(*[]byte) = data.Materialize()
	return nil
}
