// Sets a password by the token after the # of the address, which browsers keep from servers, proxies and logs.
const MUTATION = `mutation ($input: ResetPasswordInput!) {
  resetPassword(input: $input) {
    __typename
    ... on PasswordResetDone { email }
    ... on InvalidInputProblem { issues { message } }
    ... on Problem { message }
  }
}`;
const USELESS = "This address lacks a part of the link. Copy all of it, or ask for another link.";

const [form, password, shown, button, message] = ["form", "password", "shown", "button", "message"].map((id) =>
  document.getElementById(id),
);
const token = decodeURIComponent(location.hash.slice(1));
// Neither the history nor whoever looks over a shoulder needs it.
history.replaceState(null, "", location.pathname);

if (token) {
  form.hidden = false;
  password.focus();
} else {
  message.textContent = USELESS;
}

shown.addEventListener("change", () => {
  password.type = shown.checked ? "text" : "password";
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  button.disabled = true;
  message.textContent = "";
  try {
    show(await reset(token, password.value));
  } catch {
    message.textContent = "The server cannot be reached. Try again in a moment.";
  } finally {
    button.disabled = false;
  }
});

async function reset(token, newPassword) {
  const response = await fetch("graphql", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ query: MUTATION, variables: { input: { token, newPassword } } }),
  });
  const { data, errors } = await response.json();
  return data?.resetPassword ?? { message: errors[0].message };
}

function show(result) {
  if (result.__typename === "PasswordResetDone") {
    form.remove();
    message.textContent = `The password of ${result.email} is set. Sign in with it.`;
  } else {
    message.textContent = result.issues?.map((issue) => issue.message).join(" ") ?? result.message;
    password.focus();
  }
}
