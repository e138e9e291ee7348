// "Wrong? Tell us": a person says what a photo shows, and that it may be kept. Only where the environment keeps photos.

const FEEDBACK_DAYS = Number(document.documentElement.dataset.feedbackDays); // 0 where it keeps none
const SUGGESTED = 2000; // classes that are offered while a person types

let forms = 0;

/** Offer to say what a card's photo shows. */
function offerFeedback(card, {photo, answer, requestId}) {
  if (!FEEDBACK_DAYS) return;
  const form = byId("feedback").content.firstElementChild.cloneNode(true);
  forms += 1;
  form.id = `feedback-${forms}`;
  form.setAttribute("aria-label", `What ${card.name} shows`);
  form.querySelector(".days").textContent = FEEDBACK_DAYS === 1 ? "a day" : `${FEEDBACK_DAYS} days`;
  card.find(".answer").append(form);

  const button = card.action("Wrong? Tell us", () => {
    form.hidden = !form.hidden;
    button.setAttribute("aria-expanded", String(!form.hidden));
    if (!form.hidden) form.elements.label.focus();
  });
  button.setAttribute("aria-expanded", "false");
  button.setAttribute("aria-controls", form.id);

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (form.getAttribute("aria-busy") === "true") return;
    if (await send(form, {photo, answer, requestId})) {
      button.remove();
      thank(form);
    }
  });
}

/** Send what the form says with the photo. Return whether it is kept; else the form says why not. */
async function send(form, {photo, answer, requestId}) {
  const fields = {
    label: form.elements.label.value.trim(), consent: "true", answered: answer.predictions[0].label,
    run: answer.model?.run, request_id: requestId,
  };
  const body = new FormData();
  for (const [name, value] of Object.entries(fields)) if (value) body.set(name, value);
  body.set("image", photo.blob, "photo");

  const [submit, complaint] = [form.querySelector("[type=submit]"), form.querySelector(".error")];
  form.setAttribute("aria-busy", "true");
  submit.textContent = "Sending …";
  complaint.textContent = "";
  try {
    await request("feedback", {method: "POST", body});
    return true;
  } catch (error) {
    complaint.textContent = error instanceof ApiError ? `${error.title}. ${sentence(error.detail)}` : "This page failed. Load it again.";
    if (!(error instanceof ApiError)) throw error;
    return false;
  } finally {
    form.setAttribute("aria-busy", "false");
    submit.textContent = "Send";
  }
}

/** Say that it is kept, in the place of the form. */
function thank(form) {
  const words = document.createElement("p");
  words.className = "thanks";
  words.tabIndex = -1; // where the form had the focus, what is read goes on here
  words.textContent = "Thank you. A person looks at it before the model learns from it.";
  form.replaceWith(words);
  words.focus();
}

/** Suggest the model's classes to a person who types what a photo shows. */
function suggest(classes) {
  if (!FEEDBACK_DAYS) return;
  byId("classes").replaceChildren(...classes.slice(0, SUGGESTED).map((name) => {
    const option = document.createElement("option");
    option.value = name;
    return option;
  }));
}
