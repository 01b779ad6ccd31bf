/* The hook table filled with Lua: puts the input into the call struct and starts a task. */
#include "proxy/hooks.h"

#include "base/log.h"
#include "policy/task.h"
#include "proxy/req.h"
#include "proxy/secured.h"

/* The call struct for a hook of this request. */
static struct tg_vm *
prepare(struct tg_req *req)
{
	struct tg_vm *vm = req->generation->policy;
	struct tg_call *call = &vm->call;

	TG_CHECK(vm, TG_VM_MAGIC);
	call->req = &req->view;
	call->listener = req->view.listener_index;
	call->backend = req->view.backend;
	call->server = req->view.server;
	return vm;
}

static enum tg_hook_result
start(struct tg_vm *vm, int hook, int where_index, struct tg_req *req)
{
	struct tg_task *task = NULL;
	enum tg_hook_result result = tg_task_start(vm, hook, where_index, req, &task);

	req->task = task;
	return result;
}

static enum tg_hook_result
accept_client(struct tg_req *req)
{
	return start(prepare(req), TG_HOOK_ACCEPT, req->view.listener_index, req);
}

static enum tg_hook_result
route(struct tg_req *req)
{
	struct tg_vm *vm = prepare(req);

	vm->call.result_backend = -1;
	return start(vm, TG_HOOK_ROUTE, req->view.listener_index, req);
}

static enum tg_hook_result
pick(struct tg_req *req)
{
	struct tg_vm *vm = prepare(req);

	vm->call.result_server = -1;
	vm->call.result_bound = 0;
	return start(vm, TG_HOOK_PICK, req->view.backend, req);
}

static enum tg_hook_result
response(struct tg_req *req)
{
	bool own = req->listener->options.has_response;

	return start(prepare(req), TG_HOOK_RESPONSE,
	    own ? -1 - req->view.listener_index : req->view.backend, req);
}

static enum tg_hook_result
retry(struct tg_req *req, enum tg_end failure)
{
	struct tg_vm *vm = prepare(req);

	vm->call.failure = tg_end_row(failure)->name;
	vm->call.safe = tg_req_safe(req);
	vm->call.sent = req->sent;
	vm->call.verdict = TG_VERDICT_GIVE_UP;
	return start(vm, TG_HOOK_RETRY, req->view.backend, req);
}

static enum tg_hook_result
certificate(struct tg_certify *certify)
{
	struct tg_vm *vm = certify->generation->policy;
	struct tg_task *task = NULL;
	enum tg_hook_result result;

	vm->call.listener = certify->listener;
	vm->call.sni = certify->name;
	result = tg_task_certify(vm, certify, &task);
	certify->task = task;
	return result;
}

static void
cancel_certificate(struct tg_certify *certify)
{
	if (certify->task != NULL)
		tg_task_cancel(certify->task);
}

static void
finish(struct tg_req *req)
{
	struct tg_vm *vm = prepare(req);
	struct tg_task *task = NULL;

	if (tg_task_start(vm, TG_HOOK_FINISH, req->view.listener_index, req, &task) !=
	    TG_HOOK_PARKED)
		return;
	tg_log(TG_LOG_ERROR, "script error in finish (%s): it cannot wait", task->where);
	tg_task_cancel(task);
}

static void
release(struct tg_req *req)
{
	struct tg_vm *vm = prepare(req);
	struct tg_task *task = NULL;

	if (tg_task_start(vm, TG_HOOK_RELEASE, 0, req, &task) == TG_HOOK_PARKED)
		tg_task_cancel(task);
}

static void
cancel(struct tg_req *req)
{
	tg_task_cancel(req->task);
	req->task = NULL;
}

const struct tg_hooks tg_policy_hooks = {
	.accept = accept_client,
	.route = route,
	.pick = pick,
	.response = response,
	.retry = retry,
	.certificate = certificate,
	.cancel_certificate = cancel_certificate,
	.finish = finish,
	.release = release,
	.cancel = cancel,
};
