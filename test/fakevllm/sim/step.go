package sim

import "time"

// endStep books what a step has computed, tells the handlers, and begins the next one.
func (e *Engine) endStep(c *core, batch []scheduled, life int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.lifetime != life || e.stage != stageUp {
		return
	}
	if c.wedged {
		c.parked = batch
		return
	}
	c.stepping = false
	spans := c.book(batch, time.Now())
	if len(spans) > 0 { // before the client can see the end, so that who waits for it finds the span
		e.mu.Unlock()
		for _, r := range spans {
			r.emit()
		}
		e.mu.Lock()
		for _, r := range spans {
			r.seq.hidden = false
		}
	}
	for _, b := range batch {
		b.seq.job.wake(b.seq)
	}
	c.begin()
}

// book counts a step. It returns the spans of the sequences that have ended.
func (c *core) book(batch []scheduled, now time.Time) (spans []spanRecord) {
	outputs, tokens := 0, 0
	for _, b := range batch {
		s := b.seq
		if s.state != stateRunning || !c.advance(s, b.tokens) || c.stops(s) || c.awaitsSound(s) {
			continue
		}
		outputs++
		tokens += c.output(s, now)
		if record, ended := c.progress(s, now); ended && c.engine.tracer != nil {
			s.hidden = true
			spans = append(spans, record)
		}
	}
	if outputs > 0 {
		c.stats.iteration.observe(float64(tokens))
	}
	c.publish()
	return spans
}

// stops says whether a sequence, instead of having its next token, stays where it is.
func (c *core) stops(s *sequence) bool {
	f := s.fault
	if f == nil || s.stopped {
		return s.stopped
	}
	s.stopped = f.Kind == HangPrefill && len(s.generated) == 0 || f.Kind == HangDecode && len(s.generated) >= f.AfterTokens
	if s.stopped {
		c.limitHang(s)
	}
	return s.stopped
}

// output counts one output of a sequence and returns the tokens that vllm:iteration_tokens_total counts for it.
func (c *core) output(s *sequence, now time.Time) (tokens int) {
	c.stats.preemptions += float64(s.unreported) // late, as in vLLM: with the first output after it
	s.unreported = 0
	if s.first.IsZero() {
		s.first = now
		c.stats.promptTokens += float64(len(s.prompt))
		c.stats.promptCached += float64(s.cached)
		c.stats.promptComputed += float64(len(s.prompt) - s.cached)
		c.stats.firstToken.seconds(now.Sub(s.job.arrival))
		tokens = len(s.prompt) - s.cached
		if size := c.engine.cfg.BlockSize; !c.engine.cfg.NoPrefixCaching {
			s.created = max(0, len(s.prompt)/size*size-s.cached)
		}
	} else {
		c.stats.interToken.seconds(now.Sub(s.last))
	}
	s.last = now
	if s.author != nil {
		c.stats.generationTokens++
		tokens++
	}
	return tokens
}

// progress gives a sequence its token and ends it if that was the last one.
func (c *core) progress(s *sequence, now time.Time) (record spanRecord, ended bool) {
	if s.author == nil {
		return c.finish(s, "stop", "", now), true
	}
	finish, stop := s.say()
	if f := s.fault; f != nil && len(s.generated) >= f.AfterTokens {
		switch f.Kind {
		case ErrorEvent:
			c.remove(s)
			c.stats.success["error"]++
			s.out.err = &apiError{Message: "Internal server error", Type: "InternalServerError", Code: 500}
			return spanRecord{}, false
		case Truncate, EndEarly:
			c.remove(s)
			s.out.cut = f.Kind
			return spanRecord{}, false
		}
	}
	if finish == "" {
		return spanRecord{}, false
	}
	return c.finish(s, finish, stop, now), true
}

// finish ends a sequence the normal way: counted, and with a span.
func (c *core) finish(s *sequence, reason, stop string, now time.Time) spanRecord {
	c.remove(s)
	s.out.finish, s.out.stop = reason, stop
	n := len(s.generated)
	st := &c.stats
	st.success[reason]++
	st.promptLen.observe(float64(len(s.prompt)))
	st.generationLen.observe(float64(n))
	st.kvComputed.observe(float64(len(s.prompt) - s.cached))
	st.preemptionsPerRequest.observe(float64(s.preemptions))
	st.endToEnd.seconds(now.Sub(s.job.arrival))
	st.queueTime.seconds(s.scheduled.Sub(s.queued))
	st.prefillTime.seconds(s.first.Sub(s.scheduled))
	st.decodeTime.seconds(s.last.Sub(s.first))
	st.inference.seconds(s.last.Sub(s.scheduled))
	st.perToken.seconds(s.meanGap())
	if s.author != nil {
		st.paramsMax.observe(float64(s.limits.maxTokens))
	}
	g := s.group
	g.mostWords = max(g.mostWords, n)
	if g.left--; g.left == 0 {
		st.paramsN.observe(float64(g.n))
		st.maxGeneration.observe(float64(g.mostWords))
	}
	return spanRecord{engine: c.engine, seq: s, end: now}
}

// meanGap is the mean time between the tokens of an answer, 0 for fewer than two.
func (s *sequence) meanGap() time.Duration {
	if len(s.generated) < 2 {
		return 0
	}
	return s.last.Sub(s.first) / time.Duration(len(s.generated)-1)
}

// wake tells the handler that a sequence has something for it.
func (j *job) wake(s *sequence) {
	if s.out.empty() {
		return
	}
	select {
	case j.notify <- struct{}{}:
	default: // it has been told already
	}
}

// take returns what the sequences have for the handler, in the order of their choices. Tokens that came since it last
// looked come together, as in vLLM when a client reads slowly.
func (e *Engine) take(j *job) (deltas []delta) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range j.seqs {
		last := s.out.finish != "" || s.out.err != nil || s.out.cut != ""
		early := s.out.total > 1 && len(s.out.tokens) < e.cfg.StreamInterval
		if s.out.empty() || s.hidden || early && !last {
			continue
		}
		d := s.out
		d.seq = s
		s.out = delta{total: d.total}
		deltas = append(deltas, d)
	}
	return deltas
}

// submit hands a job to the ranks, or says why it does not.
func (e *Engine) submit(j *job) *apiError {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stage >= stageErrored {
		return errDead()
	}
	if err := e.admission(j); err != nil {
		return err
	}
	for _, s := range j.seqs {
		if j.clears != e.clears {
			s.fault = nil // Clear came while the request was on its way
		}
		s.core = e.leastLoaded()
		if j.rank != nil {
			s.core = e.cores[*j.rank]
		}
		s.core.inbox = append(s.core.inbox, s)
	}
	for _, c := range e.cores {
		c.begin()
	}
	return nil
}

// abort ends a job whose client has left or got what it wanted. Nothing counts it, as in vLLM.
func (e *Engine) abort(j *job) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range j.seqs {
		if s.state != stateDone && s.core != nil {
			s.core.remove(s)
			s.core.begin()
		}
	}
}
