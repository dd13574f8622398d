// Tries a token, and goes on to the page with it.

import { signIn } from "./api.js";

const form = document.getElementById("signin");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const why = document.getElementById("why");
  why.textContent = "";
  try {
    await signIn(document.getElementById("token").value.trim());
    location.assign("/ui/index.html");
  } catch (error) {
    why.textContent = error.code === 401 ? "The cluster does not know this token, or it has expired." : error.message;
  }
});

// Before this line the browser itself would have sent the form, to nowhere.
form.querySelector("button").disabled = false;
