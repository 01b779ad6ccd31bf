-- upload: what the bytes of requests cost. The origin takes a body whole before it answers: it asks itself for the
-- answer, without the body.
return {
    title = "16 keep-alive clients, POSTs of 1 MiB",
    clients = 16,
    path = "/upload",
    megabytes = 1,
    wrk_script = "upload",
    origin = [[location = /upload {
            client_max_body_size 2m;
            client_body_buffer_size 2m;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_pass http://127.0.0.1:$server_port/;
        }]],
    nginx = "client_max_body_size 2m; client_body_buffer_size 64k; proxy_request_buffering off;",
    haproxy = "    option splice-auto",
    bars = { { of = "nginx haproxy", at_most = 1 } },
    run = require("rounds").run,
}
