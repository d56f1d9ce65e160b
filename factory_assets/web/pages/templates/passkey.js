// Asks the browser to make or use a passkey, and sends its answer with the form.
"use strict";

const asked = {
  create: (options) =>
    navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) }),
  get: (options) =>
    navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) }),
};

const failures = {
  NotAllowedError: "The browser used no passkey.",
  InvalidStateError: "This device has a passkey of yours already.",
};

async function answer(form, button) {
  const body = new URLSearchParams(new FormData(form, button));
  const options = await fetch(form.dataset.options, { method: "POST", body });
  if (!options.ok) throw new Error(await options.text());
  const credential = await asked[form.dataset.passkey](await options.json());
  return JSON.stringify(credential);
}

async function submit(event) {
  event.preventDefault();
  const form = event.target;
  const buttons = form.querySelectorAll("button");
  const status = form.querySelector("[role=status]");
  // What the form says is read first: a disabled button says nothing.
  const asking = answer(form, event.submitter);
  for (const button of buttons) button.disabled = true;
  status.textContent = "";
  try {
    form.elements.credential.value = await asking;
    form.submit();
  } catch (error) {
    status.textContent = failures[error.name] ?? error.message;
    for (const button of buttons) button.disabled = false;
  }
}

// The forms stay hidden in browsers that cannot do it.
if (window.PublicKeyCredential?.parseCreationOptionsFromJSON) {
  for (const form of document.querySelectorAll("form[data-passkey]")) {
    form.hidden = false;
    form.addEventListener("submit", submit);
  }
}
