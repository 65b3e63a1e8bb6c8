// Package faultproxy puts a faulty network between a client and a server.
//
//	p := faultproxy.Start(t, server.Addr())
//	rdb := redis.NewClient(&redis.Options{Addr: p.Addr()})
//	p.Set(faultproxy.Blackhole())
//
// Data that a fault holds back is delivered once the fault is over, as TCP would.
// A proxy made by [New] needs no sockets: a client that connects through its Dial
// runs in a testing/synctest bubble, where timeouts pass at once.
package faultproxy
