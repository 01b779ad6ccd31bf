/* TLS of a configuration: contexts are built by the control thread's VM, which alone reads files; the
 * workers' only count along.
 */
#include <stdio.h>

#include "net/tls.h"
#include "policy/vm.h"

struct place {
	struct tg_plan *plan;
	struct tg_str where;
};

static void
on_warning(void *arg, const char *text)
{
	const struct place *place = arg;
	char whole[2048];

	snprintf(whole, sizeof(whole), "%.*s: %s", (int)place->where.len, place->where.ptr, text);
	if (tg_plan_add_text(
	        &place->plan->warnings, &place->plan->warning_count, tg_str_of(whole)) < 0)
		tg_log(TG_LOG_WARNING, "%s", whole);
}

int
tg_ffi_plan_tls(
    struct tg_vm *vm, const struct tg_tls_options *options, const char *where, size_t len)
{
	const struct tg_plan *before = vm->config.before;
	struct place place = { vm->config.plan, { where, len } };
	struct tg_tls_loader loader = {
		.files = vm->config.tls_files,
		.rings = vm->config.tls_rings,
		.on_certificate = tg_tls_ask_certificate,
		.on_warning = on_warning,
		.arg = &place,
		.known = before != NULL ? before->tls : NULL,
		.known_count = before != NULL ? before->tls_count : 0,
	};
	struct tg_tls_context *context;
	int number;

	if (vm->config.role == TG_VM_WORKER)
		return ++vm->tls_seen <= vm->config.plan->tls_count ? (int)vm->tls_seen
		                                                    : TG_FFI_MISMATCH;
	context = tg_tls_context_new(&loader, options);
	memcpy(vm->tls_error, loader.error, sizeof(vm->tls_error));
	if (context == NULL)
		return TG_FFI_INVALID;
	number = tg_plan_add_tls(vm->config.plan, context);
	return number < 0 ? TG_FFI_MEMORY : number;
}

struct tg_tls_certificate *
tg_ffi_certificate_new(
    struct tg_vm *vm, const char *cert, size_t cert_len, const char *key, size_t key_len)
{
	return tg_tls_certificate_parse((struct tg_str){ cert, cert_len },
	    (struct tg_str){ key, key_len }, "the certificate", "the key", vm->tls_error,
	    sizeof(vm->tls_error));
}

void
tg_ffi_certificate_free(struct tg_tls_certificate *certificate)
{
	tg_tls_certificate_put(certificate);
}

const char *
tg_ffi_tls_error(struct tg_vm *vm)
{
	return vm->tls_error;
}
