// The words of the interface, in English and Arabic.

import { settings } from "./storage.js";

const WORDS = {
  en: {
    views: "Views",
    labelling: "Label",
    retraining: "Retraining",
    skip: "Skip to the results",
    lead: "What does each sentence of this news do?",
    placeholder: "Paste Arabic news here…",
    label: "Label the sentences",
    files: "Choose files",
    sample: "Try an example",
    dropHint: "or drop .txt, .jsonl, .json, .csv or .tsv files anywhere",
    dropHere: "Drop files to label them",
    stop: "Stop",
    results: "Results",
    filter: "Filter by label",
    view: "View",
    asText: "Text",
    asTable: "Table",
    sentence: "Sentence",
    all: "All",
    uncertain: "Uncertain",
    uncertainNote: "The model is not sure: read this one yourself.",
    truncated: "The sentence is long; only its beginning was read.",
    unread: "Not labelled",
    corrected: "Corrected by you",
    confirmed: "Confirmed by you",
    was: "the model said",
    right: "Which label is right?",
    name: "Your name, kept with corrections (optional)",
    choose: "Choose a sentence to see how sure the model is, and to correct it.",
    keys: "Arrow keys move between sentences · 1–{n} sets the label · N goes to the next uncertain one",
    saving: "Saving…",
    saved: "Saved.",
    notSaved: "Not saved",
    noStore: "This service keeps no corrections.",
    probability: "Probability",
    labelColumn: "Label",
    number: "No.",
    document: "Document",
    nothing: "There is no sentence in this text.",
    empty: "Paste a text first.",
    done: "{n} sentences labelled.",
    shown: "{n} of {total} sentences shown.",
    working: "{n} of {total} parts",
    stopped: "Stopped.",
    pasted: "Pasted text",
    keyTitle: "API key",
    keyWhy: "This service requires an API key. It is kept until you close this tab.",
    keyRefused: "The service does not accept this key. Check it, and enter it again.",
    keyOk: "Continue",
    cancel: "Cancel",
    language: "العربية",
    theme: "Theme",
    auto: "auto",
    light: "light",
    dark: "dark",
    unreachable: "The service cannot be reached. Try again in a moment.",
    tooBig: "{name} is larger than {n} MB. Use `rasd classify` for archives.",
    wrongKind: "{name}: give .txt, .jsonl, .json, .csv or .tsv files (also as .gz).",
    badLine: "{name}, line {line}: {what}",
    notJson: "this is not a JSON object",
    noText: "there is no field “text”",
    openQuote: "a quotation mark is not closed",
    twoColumns: "there are two columns “{column}”",
    wrongCells: "this row has more or fewer cells than the header",
    badId: "the field “id” is not a string or a number",
    notText: "there is a NUL byte, so this is not text",
    notUtf8: "{name} is not UTF-8 text. Save it as UTF-8.",
    damaged: "{name} is not a complete gzip file.",
    oldEncoding: "{name} was read as {encoding}.",
    corrections: "Corrections so far",
    byAnnotator: "By annotator",
    anonymous: "Annotators are shown to callers with an API key only.",
    nameless: "Without a name",
    others: "Others",
    served: "Served now",
    version: "version {name} of the registry",
    ownFigures: "When it was made: macro-F1 {f1}, accuracy {accuracy}",
    last: "Last retraining",
    unrecorded: "Only retrainings with a registry are shown here, and this service has none.",
    never: "There has been no retraining with this registry yet.",
    passed: "{challenger} passed the gate.",
    kept: "{challenger} did not pass the gate: {champion} is kept.",
    figure: "Figure",
    champion: "Champion",
    challenger: "Challenger",
    gate: "Gate",
    outcome_passed: "passed",
    outcome_failed: "failed",
    outcome_undecided: "too few to tell",
    recall: "Recall of {label}",
    next: "Retrain",
    nextHow: "Run this on the service's machine, in the folder that holds configs/retrain.yaml. It trains a challenger with the corrections and promotes it only if it passes the gate.",
    nextHowAlone: "Run this on the service's machine, in the folder that holds configs/retrain.yaml. It trains a challenger with the corrections, and says whether it passes the gate and in which folder it is. The service keeps its model.",
    noPassword: "A password of the database is not shown: set PGPASSWORD.",
    noCommand: "The command is shown to callers with an API key, and where a registry or the included model is served.",
  },
  ar: {
    views: "الأقسام",
    labelling: "التصنيف",
    retraining: "إعادة التدريب",
    skip: "انتقل إلى النتائج",
    lead: "ماذا تقول كل جملة في هذا الخبر؟",
    placeholder: "ألصق نص الخبر هنا…",
    label: "صنّف الجمل",
    files: "اختر ملفات",
    sample: "جرّب مثالا",
    dropHint: "أو أفلت ملفات ‎.txt أو ‎.jsonl أو ‎.json أو ‎.csv أو ‎.tsv في أي مكان",
    dropHere: "أفلت الملفات لتصنيفها",
    stop: "إيقاف",
    results: "النتائج",
    filter: "تصفية حسب الصنف",
    view: "العرض",
    asText: "نص",
    asTable: "جدول",
    sentence: "الجملة",
    all: "الكل",
    uncertain: "غير مؤكد",
    uncertainNote: "النموذج غير واثق: اقرأ هذه الجملة بنفسك.",
    truncated: "الجملة طويلة، ولم يُقرأ إلا أولها.",
    unread: "لم تُصنَّف",
    corrected: "صحّحتَه أنت",
    confirmed: "أكّدتَه أنت",
    was: "قال النموذج",
    right: "ما الصنف الصحيح؟",
    name: "اسمك، يُحفظ مع التصحيحات (اختياري)",
    choose: "اختر جملة لترى مدى ثقة النموذج وتصحّح صنفها.",
    keys: "الأسهم للتنقل بين الجمل · ‎1–{n} لتحديد الصنف · N للجملة التالية غير المؤكدة",
    saving: "يُحفظ…",
    saved: "حُفظ.",
    notSaved: "لم يُحفظ",
    noStore: "هذه الخدمة لا تحفظ التصحيحات.",
    probability: "الاحتمال",
    labelColumn: "الصنف",
    number: "الرقم",
    document: "المستند",
    nothing: "لا توجد جملة في هذا النص.",
    empty: "ألصق نصا أولا.",
    done: "الجمل المصنّفة: {n}.",
    shown: "المعروض من الجمل: {n} من {total}.",
    working: "{n} من {total} أجزاء",
    stopped: "أُوقف.",
    pasted: "نص ملصق",
    keyTitle: "مفتاح الواجهة",
    keyWhy: "تطلب هذه الخدمة مفتاحا. يُحفظ إلى أن تُغلق علامة التبويب.",
    keyRefused: "لا تقبل الخدمة هذا المفتاح. تحقق منه وأدخله مرة أخرى.",
    keyOk: "متابعة",
    cancel: "إلغاء",
    language: "English",
    theme: "المظهر",
    auto: "تلقائي",
    light: "فاتح",
    dark: "داكن",
    unreachable: "تعذّر الوصول إلى الخدمة. حاول بعد قليل.",
    tooBig: "حجم {name} أكبر من {n} ميغابايت. استعمل الأمر `rasd classify` للأرشيفات.",
    wrongKind: "{name}: المقبول ملفات ‎.txt و‎.jsonl و‎.json و‎.csv و‎.tsv (أو مضغوطة ‎.gz).",
    badLine: "{name}، السطر {line}: {what}",
    notJson: "ليس كائن JSON",
    noText: "لا يوجد حقل «text»",
    openQuote: "علامة اقتباس لم تُغلق",
    twoColumns: "يوجد عمودان باسم «{column}»",
    wrongCells: "عدد خلايا هذا السطر يختلف عن عدد الأعمدة",
    badId: "الحقل «id» ليس نصا ولا عددا",
    notText: "فيه بايت صفري، فليس نصا",
    notUtf8: "{name} ليس نصا بترميز UTF-8. احفظه بترميز UTF-8.",
    damaged: "{name} ليس ملف gzip كاملا.",
    oldEncoding: "قُرئ {name} بترميز {encoding}.",
    corrections: "التصحيحات حتى الآن",
    byAnnotator: "حسب المصحِّح",
    anonymous: "لا تظهر أسماء المصحّحين إلا لمن لديه مفتاح.",
    nameless: "بلا اسم",
    others: "آخرون",
    served: "النموذج المستعمل الآن",
    version: "الإصدار {name} في السجل",
    ownFigures: "عند صنعه: ‏macro-F1 ‏{f1}، والدقة {accuracy}",
    last: "آخر إعادة تدريب",
    unrecorded: "لا تظهر هنا إلا عمليات إعادة التدريب مع سجل، وليس لهذه الخدمة سجل.",
    never: "لم تجرِ أي إعادة تدريب على هذا السجل بعد.",
    passed: "اجتاز {challenger} بوابة القبول.",
    kept: "لم يجتز {challenger} بوابة القبول، فبقي {champion}.",
    figure: "المقياس",
    champion: "الحالي",
    challenger: "المرشّح",
    gate: "البوابة",
    outcome_passed: "اجتاز",
    outcome_failed: "لم يجتز",
    outcome_undecided: "العدد لا يكفي للحكم",
    recall: "استرجاع {label}",
    next: "إعادة التدريب",
    nextHow: "شغّل هذا الأمر على جهاز الخدمة، في المجلد الذي فيه configs/retrain.yaml. يدرّب نموذجا مرشّحا على التصحيحات، ولا يعتمده إلا إذا اجتاز البوابة.",
    nextHowAlone: "شغّل هذا الأمر على جهاز الخدمة، في المجلد الذي فيه configs/retrain.yaml. يدرّب نموذجا مرشّحا على التصحيحات، ويبيّن هل اجتاز البوابة وفي أي مجلد هو. وتبقى الخدمة على نموذجها.",
    noPassword: "كلمة مرور قاعدة البيانات لا تظهر هنا: ضعها في PGPASSWORD.",
    noCommand: "يظهر الأمر لمن لديه مفتاح، إذا كان النموذج المستعمل من سجل أو كان النموذج المرفق.",
  },
};

const ENGLISH_LABELS = {
  attack_report: "Attack report",
  claim: "Claim",
  denial: "Denial",
  official_response: "Official response",
  other: "Other",
};

// The names of the gate's checks, as training/retrain/gate.py has them.
const ARABIC_CHECKS = {
  "macro-F1": "macro-F1",
  "calibration error": "خطأ المعايرة",
  "accuracy on new labels": "الدقة على التصحيحات الجديدة",
  "behaviour tests passed": "اختبارات السلوك الناجحة",
  "golden sentences": "الجمل المرجعية",
  "CPU milliseconds per sentence": "زمن المعالج للجملة (مللي ثانية)",
};

let language = settings.getItem("rasd.language")
  ?? (navigator.language.startsWith("ar") ? "ar" : "en");

export const currentLanguage = () => language;

export function setLanguage(name) {
  language = name;
  settings.setItem("rasd.language", name);
}

export function t(key, values = {}) {
  return WORDS[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

export function labelName(label) {
  if (language === "ar") return label.arabic;
  const words = label.name.replaceAll("_", " ");
  return ENGLISH_LABELS[label.name] ?? words[0].toUpperCase() + words.slice(1);
}

/** The name of one of the gate's checks; `labels` are those of the model. */
export function checkName(name, labels) {
  const label = labels.find((one) => name === `recall of ${one.name}`);
  if (label) return t("recall", { label: labelName(label) });
  return (language === "ar" && ARABIC_CHECKS[name]) || name[0].toUpperCase() + name.slice(1);
}

// Isolated left to right: between Arabic words the percent sign would move to the other side.
export const percent = (p) => `\u2066${Math.min(99, Math.round(p * 100))}%\u2069`;

/** Put the words of the current language where the page's attributes ask for them. */
export function translate(root = document) {
  document.documentElement.lang = language;
  document.documentElement.dir = language === "ar" ? "rtl" : "ltr";
  for (const e of root.querySelectorAll("[data-text]")) e.textContent = t(e.dataset.text);
  for (const e of root.querySelectorAll("[data-name]")) e.ariaLabel = t(e.dataset.name);
  for (const e of root.querySelectorAll("[data-placeholder]")) e.placeholder = t(e.dataset.placeholder);
}
