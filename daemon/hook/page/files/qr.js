// sides are the sizes in pixels that a picture is brought to, in turn: noise and
// moiré go with the small ones, dense codes need the large one.
const sides = [900, 1800, 500];

// isCode reports whether a text may be an activation code (SGP.22 4.1), also one
// without its prefix.
export const isCode = (text) => /^\s*(lpa:\s*)?1(\$|%24)/i.test(text);

// readPicture returns the texts of the QR codes in a picture's file. It throws where
// that is no picture.
export async function readPicture(file) {
  const bitmap = await createImageBitmap(file);
  try {
    return await read(bitmap, sides);
  } finally {
    bitmap.close();
  }
}

// Camera reads QR codes from a video element.
export class Camera {
  static there = () => !!navigator.mediaDevices?.getUserMedia;
  #stream;

  // start returns the texts of the first QR codes, none when it was stopped.
  async start(video) {
    const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1280 } } });
    this.#stream = stream;
    video.srcObject = stream;
    await video.play();
    while (this.#stream === stream) {
      const found = video.videoWidth ? await read(video, [800]) : [];
      if (found.length) {
        this.stop();
        return found;
      }
      await new Promise((resolve) => setTimeout(resolve, 150));
    }
    return [];
  }

  stop() {
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#stream = undefined;
  }
}

// read finds the QR codes in a bitmap or video.
async function read(source, sides) {
  const native = await detector();
  if (native) {
    const found = await native.detect(source).catch(() => []);
    if (found.length) return found.map((code) => code.rawValue);
  }
  const { decodeQR } = await import("./qr/decode.js");
  const width = source.videoWidth ?? source.width, height = source.videoHeight ?? source.height;
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  for (const side of sides) {
    const scale = Math.min(1, side / Math.max(width, height));
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    context.fillStyle = "#fff"; // behind what is transparent
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(source, 0, 0, canvas.width, canvas.height);
    try {
      return [decodeQR(context.getImageData(0, 0, canvas.width, canvas.height))];
    } catch {
      // No code at this size.
    }
  }
  return [];
}

// detector is the browser's own reader, where it has one for QR codes.
async function detector() {
  try {
    const formats = await BarcodeDetector.getSupportedFormats();
    return formats.includes("qr_code") ? new BarcodeDetector({ formats: ["qr_code"] }) : null;
  } catch {
    return null;
  }
}
