package main

import "sync/atomic"

// stream is one proxy: an ADS stream over a connection of its own, and what it holds.
type stream struct {
	crowd            *crowd
	number           int
	node             string // its core.v3.Node, encoded
	connection       *connection
	kinds            [kinds]subscription
	synced           bool
	endpoints        int          // that it had when it was synced
	bytes, resources atomic.Int64 // that this connection was sent
}

// subscription is what a stream holds of one type.
type subscription struct {
	asked   bool // on this connection
	wanted  []string
	isNamed map[string]struct{}
	held    []*resource // by id
	count   int
	version string // SotW: version_info
	nonce   string
}

// addresses returns how many endpoints there are in what is held.
func (s *subscription) addresses() (total int) {
	for _, held := range s.held {
		if held != nil {
			total += held.addresses
		}
	}
	return total
}

// claimed returns the size of what a delta request says of what is held.
func claimed(resources []*resource) (size int) {
	for _, held := range resources {
		if held != nil {
			size += len(held.claim)
		}
	}
	return size
}

// run lives until the connection is closed, by us or by the server.
func (s *stream) run() error {
	s.open()
	for {
		message, err := s.connection.read()
		if err != nil {
			return err
		}
		s.take(message)
	}
}

// open asks for clusters, or, as after a lost connection, for everything that was asked for before.
func (s *stream) open() {
	reconnects := s.kinds[clusters].count > 0
	for kind := range s.kinds {
		s.kinds[kind].asked, s.kinds[kind].nonce = false, ""
	}
	s.ask(clusters, nil)
	for kind := endpoints; reconnects && kind < kinds; kind++ {
		if kind == listeners || s.kinds[kind].wanted != nil { // without names, it would ask for everything
			s.ask(kind, s.kinds[kind].wanted)
		}
	}
	s.crowd.opened.mark(s.number)
}

func (s *stream) take(message []byte) {
	s.bytes.Add(int64(len(message)))
	r := s.crowd.decode(message)
	kind := kindOf(r.typeURL)
	s.hold(kind, r)
	s.acknowledge(kind, r)
	s.follow(kind, r)
	s.resources.Add(int64(len(r.resources)))
	if kind == endpoints {
		s.crowd.expected.look(s.number, message)
	}
}

func (s *stream) hold(kind int, r response) {
	mine, catalog := &s.kinds[kind], s.crowd.catalogs[kind]
	mine.version, mine.nonce = r.version, r.nonce
	for _, name := range r.removed {
		if id, known := catalog.id(name); known && id < len(mine.held) && mine.held[id] != nil {
			mine.held[id] = nil
			mine.count--
		}
	}
	for _, f := range r.resources {
		resource := catalog.resource(f)
		for len(mine.held) <= resource.id {
			mine.held = append(mine.held, nil)
		}
		if mine.held[resource.id] == nil {
			mine.count++
		}
		mine.held[resource.id] = resource
		if resource.change != none {
			s.crowd.followed.Load().mark(s.number, resource.change)
		}
	}
}

// follow asks for what a response makes necessary, in Envoy's order: assignments as clusters name them, listeners once the
// clusters are warm, routes as listeners name them.
func (s *stream) follow(kind int, r response) {
	if kind == clusters || kind == listeners {
		s.want(kind+1, s.needed(kind, r))
	}
	warm := s.kinds[endpoints].count >= max(len(s.kinds[endpoints].wanted), s.crowd.clusters)
	if warm && !s.kinds[listeners].asked {
		s.ask(listeners, nil)
	}
	if !s.synced && warm && s.kinds[listeners].nonce != "" && s.kinds[routes].count >= len(s.kinds[routes].wanted) {
		s.synced = true
		s.endpoints = s.kinds[endpoints].addresses()
		s.crowd.syncs.mark(s.number)
	}
}

func (s *stream) needed(kind int, r response) (names []string) {
	for _, f := range r.resources {
		names = append(names, s.crowd.catalogs[kind].resource(f).needs...)
	}
	return names
}

// want subscribes to the names among these that are new.
func (s *stream) want(kind int, names []string) {
	mine := &s.kinds[kind]
	if mine.isNamed == nil {
		mine.isNamed = make(map[string]struct{}, len(names))
	}
	var added []string
	for _, name := range names {
		if _, there := mine.isNamed[name]; !there {
			mine.isNamed[name] = struct{}{}
			added = append(added, name)
		}
	}
	if added != nil {
		mine.wanted = append(mine.wanted, added...)
		s.ask(kind, added)
	}
}
