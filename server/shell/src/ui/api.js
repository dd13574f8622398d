// Requests to the master that serves this page, and watches that go on through failovers.

export class ApiError extends Error {
  constructor(code, message) { super(message); this.code = code; }
}

// Kept in the tab, and gone with it.
const token = () => sessionStorage.getItem("token");

async function request(path, options = {}, bearer = token()) {
  const headers = bearer ? { ...options.headers, authorization: `Bearer ${bearer}` } : options.headers;
  const answer = await fetch(path, { cache: "no-store", ...options, headers });
  if (answer.ok) return answer;
  if (answer.status === 401 && bearer === token()) signOut();
  let message = answer.statusText;
  try { message = (await answer.json()).message || message; } catch { /* no Status: the status line must do */ }
  if (answer.status === 403) {
    message = `You may not see this: ${message}. An administrator can bind a role to you; or sign out, and come as somebody else.`;
  }
  throw new ApiError(answer.status, message);
}

export async function get(path, accept = "application/json", signal = undefined) {
  return (await request(path, { headers: { accept }, signal })).json();
}

export async function post(path, body, bearer = token()) {
  const headers = { "content-type": "application/json" };
  return (await request(path, { method: "POST", headers, body: JSON.stringify(body) }, bearer)).json();
}

// Who the cluster takes the browser for.
export async function whoami(bearer = token()) {
  const review = { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" };
  return (await post("/apis/authentication.k8s.io/v1/selfsubjectreviews", review, bearer)).status.userInfo;
}

export const signedIn = () => token() !== null;

export async function signIn(bearer) {
  await whoami(bearer);
  sessionStorage.setItem("token", bearer);
}

export function signOut() {
  sessionStorage.removeItem("token");
  location.assign("/ui/");
}

const TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io";
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    yield* parts.filter(Boolean);
  }
}

// Lists, then watches, and does both again whenever the stream ends or breaks, until `signal` aborts.
// `told.list(list)`, `told.event(type, object)`, `told.trouble(message or null)`.
export async function follow(path, query, told, signal, table = false) {
  const accept = table ? TABLE : "application/json";
  const url = (more) => `${path}?${new URLSearchParams({ ...query, ...more })}`;
  while (!signal.aborted) {
    try {
      const list = await get(url({ limit: "1000" }), accept, signal);
      told.trouble(null);
      told.list(list);
      let revision = list.metadata.resourceVersion;
      for (let again = true; again && !signal.aborted;) {
        again = false;
        const more = { watch: "true", resourceVersion: revision, allowWatchBookmarks: "true" };
        const answer = await request(url(more), { headers: { accept }, signal });
        for await (const line of lines(answer.body)) {
          const event = JSON.parse(line);
          if (event.type === "ERROR") { again = false; break; }
          again = true;
          const object = event.object;
          revision = object.metadata?.resourceVersion || revision;
          if (event.type !== "BOOKMARK") told.event(event.type, object);
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      told.trouble(error.message);
    }
    await pause(400);
  }
}
