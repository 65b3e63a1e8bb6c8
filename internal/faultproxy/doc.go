// Package faultproxy puts a faulty network between a client and a server.
//
//	p := faultproxy.Start(t, server.Addr())
//	rdb := redis.NewClient(&redis.Options{Addr: p.Addr()})
//	p.Set(faultproxy.Blackhole())
//
// What is held back is not lost: once the fault is over it arrives, as with TCP
// it would. [New] makes a proxy that needs no sockets: through its Dial a client
// runs in a testing/synctest bubble, where the time until a timeout costs none.
package faultproxy
