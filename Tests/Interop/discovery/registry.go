// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Where Service Discovery lists the instances of a service.
const detailPath = "/registry/detail"

// The service that Agent Centers register as.
const agentCenterService = "hids_svr_grpc"

// entry is one registered instance. Ports and addresses are not checked: a test may want odd ones.
type entry struct {
	Name     string         `json:"name"`
	IP       string         `json:"ip"`
	Port     int            `json:"port"`
	Status   int            `json:"status"`
	CreateAt int64          `json:"create_at"`
	UpdateAt int64          `json:"update_at"`
	Weight   int            `json:"weight"`
	Extra    map[string]any `json:"extra"`
}

// registry is what Service Discovery knows, and how it answers at the moment.
type registry struct {
	mutex    sync.Mutex
	services map[string]map[string]entry
	mode     answerMode
	pause    time.Duration
	// skew is how far the clock that its answers tell of is ahead.
	skew time.Duration
	// changed is closed when the mode changes, for those who never answer.
	changed chan struct{}
}

func newRegistry() *registry {
	return &registry{services: make(map[string]map[string]entry), mode: normalAnswer, changed: make(chan struct{})}
}

// set replaces all instances of a service.
func (r *registry) set(service string, entries []entry) {
	if service == "" {
		service = agentCenterService
	}
	now := time.Now().Unix()
	instances := make(map[string]entry)
	for _, e := range entries {
		e.Name, e.CreateAt, e.UpdateAt = service, now, now
		if e.Extra == nil {
			e.Extra = map[string]any{}
		}
		instances[fmt.Sprintf("%s:%d", e.IP, e.Port)] = e
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.services[service] = instances
}

// setMode takes a status from 300 to 599, or the name of a mode.
func (r *registry) setMode(name string, delayMS int) error {
	mode, err := answerModeNamed(name)
	if err != nil {
		return err
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.mode, r.pause = mode, time.Duration(delayMS)*time.Millisecond
	close(r.changed)
	r.changed = make(chan struct{})
	return nil
}

// setClock lets answers tell of another time than this host's.
func (r *registry) setClock(seconds int) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.skew = time.Duration(seconds) * time.Second
}

// answer treats a request as the real one does, or as the mode wants.
func (r *registry) answer(w http.ResponseWriter, request *http.Request) {
	r.mutex.Lock()
	mode, pause, changed, skew := r.mode, r.pause, r.changed, r.skew
	r.mutex.Unlock()
	if skew != 0 {
		w.Header().Set("Date", time.Now().Add(skew).UTC().Format(http.TimeFormat))
	}
	service := request.URL.Query().Get("name")
	switch {
	case request.URL.Path != detailPath || request.Method != http.MethodGet:
		// The router's own text, which is no JSON.
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, "404 page not found")
	case service == "":
		reply(w, http.StatusBadRequest, map[string]any{"msg": "no server name"})
	default:
		mode(&answer{w: w, request: request, body: r.detail(service), pause: pause, changed: changed})
	}
}

// detail is the reply's body. The count that is asked for makes no difference, the order is a map's, and a service
// that nobody registered for has an empty list.
func (r *registry) detail(service string) []byte {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	list := make([]entry, 0)
	for _, instance := range r.services[service] {
		list = append(list, instance)
	}
	return encoded(map[string]any{"msg": "ok", "data": list})
}

func encoded(value map[string]any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return text
}

// reply is the real one's way to send JSON.
func reply(w http.ResponseWriter, status int, value map[string]any) {
	w.Header().Set("Content-Type", jsonType)
	w.WriteHeader(status)
	w.Write(encoded(value))
}
