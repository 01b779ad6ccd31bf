/* The command line: what the user may ask, and nothing else. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <luajit.h>
#include <nghttp2/nghttp2.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "http/http1.h"
#include "process/admin.h"
#include "process/control.h"
#include "process/share.h"

enum { EXIT_USAGE = 2, ASK_SECONDS = 60 };

static const char usage_text[] =
    "Tidegate, a load balancer whose decisions are Lua scripts.\n"
    "\n"
    "usage: tidegate COMMAND [ARGUMENTS]\n"
    "\n"
    "  run FILE                  run the configuration FILE\n"
    "  proxy LISTEN SERVER...    round robin over the servers named, without a file\n"
    "  check FILE                load and check FILE, print every error\n"
    "  reload                    ask the running process to load its files anew\n"
    "  stats                     print the counters of the running process as JSON\n"
    "  server NAME STATE         drain or disable a server, or make it ready again\n"
    "  version                   versions of tidegate and of the libraries it uses\n"
    "\n"
    "`tidegate COMMAND --help` says more about a command.\n";

static const char run_text[] =
    "usage: tidegate run FILE [--workers N] [--scripts DIR] [--control PATH] [--watch]\n"
    "                    [--daemon | --foreground] [--pid-file PATH]\n"
    "\n"
    "Run the configuration FILE until SIGTERM (running requests may end) or SIGINT.\n"
    "SIGHUP reloads, SIGUSR1 opens log files anew.\n"
    "\n"
    "  --workers N      threads that serve; default: the configuration's, else one per core\n"
    "  --scripts DIR    look here for scripts first; default: `scripts` beside FILE\n"
    "  --control PATH   where `tidegate reload` and `tidegate stats` find this process;\n"
    "                   default: the configuration's, else tidegate.sock in\n"
    "                   $RUNTIME_DIRECTORY, for root in /run/tidegate, for others in\n"
    "                   $XDG_RUNTIME_DIR, or /tmp/tidegate-UID.sock\n"
    "  --watch          reload when FILE or a script that it loaded changes\n"
    "  --daemon         go on in the background once all is ready; the exit status tells\n"
    "  --foreground     do not, even if the configuration says so\n"
    "  --pid-file PATH  keep the process id there while it runs\n";

static const char proxy_text[] =
    "usage: tidegate proxy LISTEN SERVER... [--workers N] [--control PATH]\n"
    "                      [--daemon] [--pid-file PATH]\n"
    "\n"
    "Listen on LISTEN and spread requests over the servers, round robin; a server that does\n"
    "not accept connections is left out until it does.\n"
    "\n"
    "  tidegate proxy 127.0.0.1:8080 10.0.0.2:80 10.0.0.3:80\n"
    "\n"
    "An address is HOST:PORT, [IPv6]:PORT, *:PORT (LISTEN only) or unix:/path.\n";

static const char check_text[] =
    "usage: tidegate check FILE [--scripts DIR]\n"
    "\n"
    "Load and check FILE and every script it names, as `run` would. Prints every error with\n"
    "file and line. Exit status: 0 when it is good, 1 when it is not. Where it names a user,\n"
    "only root sees whether that one can write its logs and read its files.\n";

static const char reload_text[] =
    "usage: tidegate reload [--control PATH] [--timeout SECONDS]\n"
    "\n"
    "Ask the running process to load its configuration anew, wait for the verdict and print\n"
    "it. Exit status: 0 when every thread has switched; 1 when nothing was changed, or when\n"
    "nothing was heard for so many seconds (default: 60).\n";

static const char stats_text[] =
    "usage: tidegate stats [--control PATH] [--timeout SECONDS]\n"
    "\n"
    "Print the counters of the running process as JSON. Exit status: 1 when nothing was heard\n"
    "from it for so many seconds (default: 60).\n";

static const char server_text[] =
    "usage: tidegate server BACKEND/SERVER STATE [--control PATH] [--timeout SECONDS]\n"
    "\n"
    "Set what is wanted of a server of the running process, whatever its checks say:\n"
    "\n"
    "  ready      it takes requests\n"
    "  drain      no new clients; those that stickiness leads there still go there\n"
    "  disabled   nobody goes there, and it is not checked; requests on it are answered\n"
    "\n"
    "It holds over reloads until the configuration itself declares another state.\n"
    "\n"
    "  tidegate server web/web01 drain\n";

static const char version_text[] = "usage: tidegate version\n"
                                   "\n"
                                   "Print the versions of tidegate and of the libraries it uses.\n";

/* What the words after the command say. */
struct arguments {
	const char *words[128]; /* those that are no options */
	int count;
	unsigned workers; /* 0: not given */
	unsigned timeout; /* seconds; 0: not given */
	const char *scripts;
	const char *control;
	const char *pid_file;
	bool watch, daemon, foreground;
};

/* One clear line, and status 2. */
static _Noreturn void
fail(const char *format, const char *what)
{
	fprintf(stderr, "tidegate: ");
	fprintf(stderr, format, what);
	fputc('\n', stderr);
	exit(EXIT_USAGE);
}

/* A number from 1 to `max`; `problem` has a %s for what is none. */
static unsigned
parse_number(const char *text, long max, const char *problem)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (*text == '\0' || *end != '\0' || n < 1 || n > max)
		fail(problem, text);
	return (unsigned)n;
}

/* The value of option `name`, which is `--name VALUE` or `--name=VALUE`; NULL: another word. */
static const char *
value_of(const char *name, char **argv, int *i)
{
	size_t len = strlen(name);

	if (strncmp(argv[*i], name, len) != 0)
		return NULL;
	if (argv[*i][len] == '=')
		return argv[*i] + len + 1;
	if (argv[*i][len] != '\0')
		return NULL;
	if (argv[*i + 1] == NULL)
		fail("%s needs a value", name);
	return argv[++*i];
}

/* Read the words after the command; `allowed` lists its options. */
static struct arguments
parse(char **argv, const char *allowed, const char *help)
{
	struct arguments args = { .count = 0 };

	for (int i = 0; argv[i] != NULL; i++) {
		const char *value;

		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			fputs(help, stdout);
			exit(0);
		}
		if (strchr(allowed, 'w') != NULL &&
		    (value = value_of("--workers", argv, &i)) != NULL)
			args.workers = parse_number(value, TG_WORKERS_MAX,
			    "--workers takes a number from 1 to 256, not \"%s\"");
		else if (strchr(allowed, 's') != NULL &&
		    (value = value_of("--scripts", argv, &i)) != NULL)
			args.scripts = value;
		else if (strchr(allowed, 'c') != NULL &&
		    (value = value_of("--control", argv, &i)) != NULL)
			args.control = value;
		else if (strchr(allowed, 't') != NULL &&
		    (value = value_of("--timeout", argv, &i)) != NULL)
			args.timeout = parse_number(value, 86400,
			    "--timeout takes seconds, a number from 1 to 86400, not \"%s\"");
		else if (strchr(allowed, 'd') != NULL &&
		    (value = value_of("--pid-file", argv, &i)) != NULL)
			args.pid_file = value;
		else if (strchr(allowed, 'd') != NULL && strcmp(argv[i], "--daemon") == 0)
			args.daemon = true;
		else if (strchr(allowed, 'f') != NULL && strcmp(argv[i], "--foreground") == 0)
			args.foreground = true;
		else if (strchr(allowed, 'f') != NULL && strcmp(argv[i], "--watch") == 0)
			args.watch = true;
		else if (argv[i][0] == '-' && argv[i][1] != '\0')
			fail("unknown option %s (see --help)", argv[i]);
		else if (args.count == (int)(sizeof(args.words) / sizeof(args.words[0])))
			fail("too many arguments, from %s on", argv[i]);
		else
			args.words[args.count++] = argv[i];
	}
	return args;
}

/* The absolute path, in static memory per `which`. Links stay: where they lead is looked up at each
 * reload anew. */
static const char *
absolute(const char *path, int which)
{
	static char absolute[3][PATH_MAX];
	char here[PATH_MAX] = "";
	int len;

	if (path[0] != '/' && getcwd(here, sizeof(here)) == NULL)
		fail("cannot tell the working directory, so that %s is nowhere", path);
	while (strncmp(path, "./", 2) == 0)
		path += 2;
	len = snprintf(absolute[which], PATH_MAX, "%s%s%s", here,
	    here[0] == '\0' || strcmp(here, "/") == 0 ? "" : "/", path);
	if (len >= PATH_MAX)
		fail("the path %s is too long", path);
	return absolute[which];
}

/* The same, of a file or directory that must be readable. */
static const char *
readable(const char *path, int which)
{
	if (access(path, R_OK) != 0) {
		fprintf(stderr, "tidegate: cannot read %s: %s\n", path, strerror(errno));
		exit(EXIT_USAGE);
	}
	return absolute(path, which);
}

static struct tg_control_options
options_of(const struct arguments *args)
{
	const char *where;
	struct tg_control_options options = {
		.share = tg_share_find(&where),
		.control = args->control,
		.workers = args->workers,
		.watch = args->watch,
		.daemon = args->daemon,
		.foreground = args->foreground,
	};

	if (options.share == NULL) {
		fprintf(stderr, "tidegate: its own Lua files are missing: they should be in %s\n",
		    where);
		exit(EXIT_FAILURE);
	}
	if (options.daemon && options.foreground)
		fail("%s: one or the other, please", "--daemon and --foreground");
	if (args->scripts != NULL)
		options.scripts = readable(args->scripts, 1);
	if (args->pid_file != NULL)
		options.pid_file = absolute(args->pid_file, 2);
	return options;
}

static void
expect_one_file(const struct arguments *args, const char *command)
{
	if (args->count == 0)
		fail("%s needs a FILE", command);
	if (args->count > 1)
		fail("one FILE, please: what is %s?", args->words[1]);
}

static int
run_options(struct tg_control_options *options)
{
	int status = tg_control_check(options, false);

	return status != 0 ? status : tg_control_run(options);
}

static int
command_run(char **argv)
{
	struct arguments args = parse(argv, "wscdf", run_text);
	struct tg_control_options options = options_of(&args);

	expect_one_file(&args, "run");
	options.file = readable(args.words[0], 0);
	return run_options(&options);
}

static int
command_check(char **argv)
{
	struct arguments args = parse(argv, "s", check_text);
	struct tg_control_options options = options_of(&args);
	int status;

	expect_one_file(&args, "check");
	options.file = readable(args.words[0], 0);
	status = tg_control_check(&options, true);
	if (status == 0)
		printf("%s: good\n", args.words[0]);
	return status;
}

/* A Lua string literal. */
static void
put_quoted(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text != '\0'; text++)
		fprintf(out, "\\%03d", (unsigned char)*text);
	fputc('"', out);
}

/* A server is called by its address, as far as that may be a name: brackets go, a slash is a dash. */
static void
put_server(FILE *out, const char *address)
{
	char *name = strdup(address);
	size_t len = 0;

	for (const char *c = address; name != NULL && *c != '\0'; c++)
		if (*c != '[' && *c != ']')
			name[len++] = *c == '/' ? '-' : *c;
	if (name != NULL)
		name[len] = '\0';
	fputs(" { ", out);
	put_quoted(out, name != NULL ? name : address);
	fputs(", ", out);
	put_quoted(out, address);
	fputs(" },", out);
	free(name);
}

static int
command_proxy(char **argv)
{
	struct arguments args = parse(argv, "wcd", proxy_text);
	struct tg_control_options options = options_of(&args);
	char *source = NULL;
	size_t size;
	FILE *out;
	int status;

	if (args.count < 2)
		fail("%s needs LISTEN and at least one SERVER (see --help)", "proxy");
	out = open_memstream(&source, &size);
	if (out == NULL)
		return 1;
	fputs("local tide = require 'tidegate'\ntide.listen(", out);
	put_quoted(out, args.words[0]);
	fputs(", { route = tide.backend('servers', { check = { 'tcp' }, servers = {", out);
	for (int i = 1; i < args.count; i++)
		put_server(out, args.words[i]);
	fputs(" } }) })\n", out);
	if (fclose(out) != 0)
		return 1;
	options.source = source;
	status = run_options(&options);
	free(source);
	return status;
}

static int
ask(const struct arguments *args, const char *command)
{
	return tg_admin_ask(args->control != NULL ? args->control : tg_control_default_path(),
	    command, args->timeout != 0 ? args->timeout : ASK_SECONDS);
}

static int
command_ask(char **argv, const char *command, const char *help)
{
	struct arguments args = parse(argv, "ct", help);

	if (args.count > 0)
		fail("unexpected argument %s (see --help)", args.words[0]);
	return ask(&args, command);
}

static int
command_server(char **argv)
{
	struct arguments args = parse(argv, "ct", server_text);
	char command[1000];

	if (args.count != 2)
		fail("%s needs BACKEND/SERVER and a STATE (see --help)", "server");
	if (snprintf(command, sizeof(command), "server %s %s", args.words[0], args.words[1]) >=
	    (int)sizeof(command))
		fail("the name %s is too long", args.words[0]);
	return ask(&args, command);
}

static int
command_version(char **argv)
{
	struct arguments args = parse(argv, "", version_text);

	if (args.count > 0)
		fail("unexpected argument %s (see --help)", args.words[0]);
	printf("tidegate %s\n", TG_VERSION);
	printf("LuaJIT   %s\n", LUAJIT_VERSION);
	printf("libuv    %s\n", uv_version_string());
	printf("llhttp   %d.%d.%d\n", LLHTTP_VERSION_MAJOR, LLHTTP_VERSION_MINOR,
	    LLHTTP_VERSION_PATCH);
	printf("OpenSSL  %s\n", OpenSSL_version(OPENSSL_FULL_VERSION_STRING));
	printf("nghttp2  %s\n", nghttp2_version(0)->version_str);
	return 0;
}

/* The three standard files and no other: without one of these a socket would get its number, and
 * somebody's log lines; and what whoever starts us has left open is no business of ours (a directory
 * would be a way out of a chroot). */
static void
settle_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	closefrom(STDERR_FILENO + 1);
}

int
main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : NULL;
	char **rest = argv + (argc > 1 ? 2 : 1);

	settle_descriptors();
	if (command == NULL) {
		fputs(usage_text, stderr);
		return EXIT_USAGE;
	}
	if (strcmp(command, "run") == 0)
		return command_run(rest);
	if (strcmp(command, "proxy") == 0)
		return command_proxy(rest);
	if (strcmp(command, "check") == 0)
		return command_check(rest);
	if (strcmp(command, "reload") == 0)
		return command_ask(rest, "reload", reload_text);
	if (strcmp(command, "stats") == 0)
		return command_ask(rest, "stats", stats_text);
	if (strcmp(command, "server") == 0)
		return command_server(rest);
	if (strcmp(command, "version") == 0 || strcmp(command, "--version") == 0)
		return command_version(rest);
	if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0 ||
	    strcmp(command, "help") == 0) {
		fputs(usage_text, stdout);
		return 0;
	}
	fail("unknown command \"%s\" (see --help)", command);
}
