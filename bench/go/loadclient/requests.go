package main

import "math/rand/v2"

// ask sends a request that is not an ACK: the first of a type, or one for further names.
func (s *stream) ask(kind int, added []string) {
	mine := &s.kinds[kind]
	var claims []*resource // in the first request of a type
	if !mine.asked {
		claims = mine.held
	}
	mine.asked = true
	if !s.crowd.delta {
		s.say(kind, mine)
		return
	}
	r := newRequest(sizeOf(added) + claimed(claims))
	s.introduce(r, kind)
	r.text(2, typeURLs[kind])
	r.names(3, added)
	for _, place := range rand.Perm(len(claims)) { // a map, whose order is another one with each proxy
		if held := claims[place]; held != nil {
			r.bytes = append(r.bytes, held.claim...)
		}
	}
	s.send(r)
}

func (s *stream) acknowledge(kind int, response response) {
	if !s.crowd.delta {
		s.say(kind, &s.kinds[kind])
		return
	}
	r := newRequest(0)
	r.text(2, typeURLs[kind])
	r.text(6, response.nonce)
	s.send(r)
}

// say sends a request of the state of the world, which says each time what is held and wanted.
func (s *stream) say(kind int, mine *subscription) {
	r := newRequest(sizeOf(mine.wanted))
	if mine.nonce == "" {
		s.introduce(r, kind)
	}
	r.text(1, mine.version)
	r.names(3, mine.wanted)
	r.text(4, typeURLs[kind])
	r.text(5, mine.nonce)
	s.send(r)
}

// introduce says who we are, in a stream's first request: field 1 of a delta request, 2 of another.
func (s *stream) introduce(r *request, kind int) {
	if kind == clusters {
		r.text(1+s.crowd.deltaOr(0, 1), s.node)
	}
}

func (s *stream) send(r *request) {
	// If it fails, so does the read, and that is where it is told.
	_ = s.connection.send(r.framed())
}
