package main

// ask sends a request that is not an ACK: the first of a type, or one for further names.
func (s *stream) ask(kind int, added []string) {
	mine := &s.kinds[kind]
	isFirst := !mine.asked
	mine.asked = true
	var r request
	if kind == clusters {
		r.text(1+s.crowd.deltaOr(0, 1), s.crowd.node(s.number)) // node: field 1 of a delta request, 2 of another
	}
	if !s.crowd.delta {
		s.send(s.sotw(&r, kind))
		return
	}
	r.text(2, typeURLs[kind])
	r.names(3, added)
	if isFirst {
		for _, held := range mine.held {
			if held != nil {
				r.pair(5, held.name, held.version)
			}
		}
	}
	s.send(r)
}

func (s *stream) acknowledge(kind int, response response) {
	var r request
	if !s.crowd.delta {
		s.send(s.sotw(&r, kind))
		return
	}
	r.text(2, typeURLs[kind])
	r.text(6, response.nonce)
	s.send(r)
}

// sotw completes a request that says, as each does, what is held and wanted.
func (s *stream) sotw(r *request, kind int) request {
	mine := &s.kinds[kind]
	r.text(1, mine.version)
	r.names(3, mine.wanted)
	r.text(4, typeURLs[kind])
	r.text(5, mine.nonce)
	return *r
}

func (s *stream) send(r request) {
	// If it fails, so does the read, and that is where it is told.
	_ = s.connection.send(r.bytes)
}
