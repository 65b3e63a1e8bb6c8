module github.com/redbreaker/redbreaker/grpcbreaker

go 1.24.0

replace github.com/redbreaker/redbreaker => ../

require (
	github.com/google/go-cmp v0.7.0
	github.com/redbreaker/redbreaker v0.0.0-00010101000000-000000000000
	go.uber.org/goleak v1.3.0
	google.golang.org/genproto/googleapis/rpc v0.0.0-20250804133106-a7a43d27e69b
	google.golang.org/grpc v1.76.0
	google.golang.org/protobuf v1.36.6
)

require (
	golang.org/x/net v0.42.0 // indirect
	golang.org/x/sys v0.34.0 // indirect
	golang.org/x/text v0.27.0 // indirect
)
