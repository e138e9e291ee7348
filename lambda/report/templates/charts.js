// Draws the page's charts with Apache ECharts, makes its tables sortable, and finds the photos behind a confusion. The
// page's tables say the same without it.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("charts").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const escape = echarts.format.encodeHTML; // tooltips are HTML, and names are whatever somebody typed
  let printing = false;

  // Okabe and Ito's colours, which colour-blind people can tell apart; lighter ones on dark ground.
  const theme = () => dark.matches && !printing
    ? {text: "#e6eaee", soft: "#9aa5b1", line: "#343d47", card: "#1b2128", ramp: ["#26384a", "#2f6690", "#6fb1e0", "#e2f1ff"],
       colours: ["#56b4e9", "#e69f00", "#2cc39b", "#f0885a", "#cc79a7", "#f0e442", "#b9c2cc"]}
    : {text: "#1b1f24", soft: "#57606a", line: "#d8dde3", card: "#ffffff", ramp: ["#e3eef8", "#9ecae1", "#3182bd", "#08306b"],
       colours: ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#6b7580"]};

  const short = (value) => typeof value !== "number" ? String(value)
    : value !== 0 && (Math.abs(value) < 0.001 || Math.abs(value) >= 1e6) ? value.toExponential(1) : String(Number(value.toPrecision(4)));
  const percent = (value) => (100 * value).toFixed(1) + "%";
  const mark = (value) => Number((100 * value).toFixed(2)) + "%"; // on an axis: 99% and 99.25%, and no two alike
  const three = (value) => String(Number(value.toPrecision(3)));
  const seconds = (value) => value < 1 ? three(value * 1000) + " ms" : three(value) + " s";
  const cut = (name, length) => name.length > length ? name.slice(0, length - 1) + "…" : name;

  const axis = (t, more) => ({
    nameLocation: "middle", nameGap: 30, nameTextStyle: {color: t.soft},
    axisLabel: {color: t.soft, hideOverlap: true}, axisLine: {lineStyle: {color: t.line}},
    axisTick: {lineStyle: {color: t.line}}, splitLine: {lineStyle: {color: t.line, opacity: 0.6}}, ...more,
  });
  const tooltip = (t, more) => ({backgroundColor: t.card, borderColor: t.line, textStyle: {color: t.text, fontSize: 13}, confine: true, ...more});
  const grid = (more) => ({left: 62, right: 18, top: 34, bottom: 46, ...more});
  const closer = (more) => ({type: "inside", zoomOnMouseWheel: "ctrl", ...more}); // the wheel alone scrolls the page
  const legend = (t) => ({textStyle: {color: t.text}, inactiveColor: t.soft, top: 0, left: 0, type: "scroll", pageTextStyle: {color: t.soft}});
  const numbers = (trial, search) => search.parameters.map((p) => `${escape(p.label)} ${escape(short(trial.values[p.name]))}`).join("<br>");
  const describeTrial = (trial, search) => `Trial ${trial.number}${trial.best ? ", the best" : ""}<br>${numbers(trial, search)}<br><b>${escape(search.objective)} ${short(trial.objective)}</b>`;
  const dot = (t, trial) => ({
    symbol: trial.best ? "diamond" : "circle", symbolSize: trial.best ? 16 : 10,
    itemStyle: {color: trial.best ? t.colours[3] : t.colours[0], opacity: trial.status === "Completed" ? 1 : 0.5},
  });

  const draw = {
    parallel(t, search) {
      const scale = (p) => p.scale === "choice" ? {type: "category", data: p.choices}
        : {type: p.scale === "log" ? "log" : "value", min: p.low, max: p.high};
      const objectives = search.trials.map((trial) => trial.objective);
      const place = (value, p) => p.scale === "choice" ? String(value) : value;
      const ends = [Math.min(...objectives), Math.max(...objectives)];
      return {
        tooltip: tooltip(t, {formatter: (point) => describeTrial(search.trials[point.dataIndex], search)}),
        parallel: {left: 50, right: 96, top: 40, bottom: 22, parallelAxisDefault: {nameTextStyle: {color: t.text}, nameGap: 14,
          axisLabel: {color: t.soft, formatter: short}, axisLine: {lineStyle: {color: t.soft}}, axisTick: {lineStyle: {color: t.soft}}}},
        parallelAxis: [...search.parameters.map((p, dim) => ({dim, name: p.label, ...scale(p)})),
          {dim: search.parameters.length, name: search.objective, type: "value", scale: true}],
        visualMap: {show: false, dimension: search.parameters.length, min: ends[0], max: ends[1] > ends[0] ? ends[1] : ends[0] + 1,
          inRange: {color: search.maximise ? t.ramp.slice(1) : t.ramp.slice(1).reverse()}},
        series: [{type: "parallel", lineStyle: {width: 2.5, opacity: 0.9}, inactiveOpacity: 0.08,
          data: search.trials.map((trial) => ({value: [...search.parameters.map((p) => place(trial.values[p.name], p)), trial.objective],
            lineStyle: {width: trial.best ? 5 : 2.5}}))}],
      };
    },
    scatter(t, search) {
      const log = search.parameters.find((p) => p.name === "learning_rate").scale === "log";
      return {
        tooltip: tooltip(t, {formatter: (point) => describeTrial(search.trials[point.dataIndex], search)}), grid: grid({top: 14}),
        xAxis: axis(t, {type: log ? "log" : "value", name: "learning rate", scale: true, axisLabel: {color: t.soft, formatter: short}}),
        yAxis: axis(t, {type: "value", scale: true, name: search.objective, nameGap: 46, axisLabel: {color: t.soft, formatter: short}}),
        series: [{type: "scatter", data: search.trials.map((trial) => ({value: [trial.values.learning_rate, trial.objective], ...dot(t, trial)}))}],
      };
    },
    progress(t, search) {
      const best = [];
      for (const trial of search.trials) {
        const before = best.length ? best[best.length - 1] : trial.objective;
        best.push(search.maximise ? Math.max(before, trial.objective) : Math.min(before, trial.objective));
      }
      return {
        tooltip: tooltip(t, {formatter: (point) => describeTrial(search.trials[point.dataIndex], search)}), grid: grid({top: 14}),
        xAxis: axis(t, {type: "value", name: "trial", min: 0, minInterval: 1, max: search.trials[search.trials.length - 1].number + 1}),
        yAxis: axis(t, {type: "value", scale: true, name: search.objective, nameGap: 46, axisLabel: {color: t.soft, formatter: short}}),
        series: [
          {type: "line", step: "end", showSymbol: false, lineStyle: {color: t.colours[1]}, data: search.trials.map((trial, i) => [trial.number, best[i]])},
          {type: "scatter", data: search.trials.map((trial) => ({value: [trial.number, trial.objective], ...dot(t, trial)}))},
        ],
      };
    },
    losses: (t, curves) => lines(t, curves, "loss", [{title: "training", values: curves.train_loss, style: "dashed"}, {title: "validation", values: curves.validation_loss}]),
    accuracy: (t, curves) => lines(t, curves, "accuracy", [{title: "validation", values: curves.validation_accuracy}], 1),
    confusion(t, {classes, cells, totals}, element) {
      const many = classes.length > 40, narrow = element.clientWidth < 500;
      const label = (name) => cut(name, narrow ? 11 : 18);
      const category = (more) => axis(t, {type: "category", data: classes, splitLine: {show: false}, axisTick: {show: false},
        axisLabel: {color: t.soft, fontSize: many ? 10 : 12, formatter: label, interval: classes.length > 60 ? "auto" : 0, hideOverlap: true, ...more.axisLabel}, ...more.axis});
      const zoom = many ? [closer({xAxisIndex: 0, filterMode: "empty"}), closer({yAxisIndex: 0, filterMode: "empty"})] : [];
      return {
        animation: false, dataZoom: zoom,
        tooltip: tooltip(t, {formatter: ({value}) => `${escape(classes[value[1]])}, taken for <b>${escape(classes[value[0]])}</b><br>${value[3]} of ${totals[value[1]]} photos (${percent(value[2])})`}),
        grid: narrow ? {left: 92, right: 4, top: 6, bottom: 96} : {left: 128, right: 16, top: 10, bottom: 120},
        xAxis: category({axisLabel: {rotate: classes.length > 6 ? 55 : 0}, axis: {name: "taken for", nameGap: narrow ? 76 : 96}}),
        yAxis: category({axis: {inverse: true, name: "shows", nameGap: narrow ? 80 : 112}, axisLabel: {}}),
        visualMap: {show: false, min: 0, max: 1, dimension: 2, inRange: {color: many ? t.ramp.slice(1) : t.ramp}},
        series: [{type: "heatmap", progressive: 0, itemStyle: {borderWidth: many ? 0 : 1, borderColor: t.card},
          data: cells.map(([x, y, count]) => [x, y, totals[y] ? count / totals[y] : 0, count]),
          label: {show: classes.length <= 20, fontSize: 11, formatter: ({value}) => String(value[3])}}],
      };
    },
    reliability(t, {bins}) {
      const filled = bins.filter((bin) => bin.images);
      return {
        tooltip: tooltip(t, {trigger: "item", formatter: ({data}) => data.bin && `${percent(data.bin.low)} to ${percent(data.bin.high)}<br>${data.bin.images} photos, mean confidence ${percent(data.bin.confidence)}<br><b>right: ${percent(data.bin.accuracy)}</b>`}),
        grid: grid(), legend: legend(t),
        xAxis: axis(t, {type: "value", min: 0, max: 1, name: "confidence", axisLabel: {color: t.soft, formatter: mark}}),
        yAxis: axis(t, {type: "value", min: 0, max: 1, name: "accuracy", nameGap: 46, axisLabel: {color: t.soft, formatter: mark}}),
        series: [
          {name: "accuracy of the bin", type: "scatter", itemStyle: {color: t.colours[0]}, z: 3,
            data: filled.map((bin) => ({value: [bin.confidence, bin.accuracy], bin, symbolSize: 8 + 26 * Math.sqrt(bin.images / Math.max(...filled.map((b) => b.images)))}))},
          {name: "perfectly calibrated", type: "line", showSymbol: false, silent: true, itemStyle: {color: t.soft}, lineStyle: {color: t.soft, type: "dashed", width: 1.5}, data: [[0, 0], [1, 1]]},
        ],
      };
    },
    phases(t, phases, element) {
      return {
        color: t.colours, tooltip: tooltip(t, {formatter: ({seriesName, value}) => `${escape(seriesName)}: <b>${percent(value)}</b>`}),
        legend: legend(t), grid: {left: 8, right: 18, top: 48, bottom: 26},
        xAxis: axis(t, {type: "value", max: 1, axisLabel: {color: t.soft, formatter: mark}}),
        yAxis: {type: "category", data: [""], axisLine: {show: false}, axisTick: {show: false}},
        series: phases.filter((phase) => phase.share > 0).map((phase) => ({name: phase.phase, type: "bar", stack: "time", barWidth: 34, data: [phase.share],
          itemStyle: {borderColor: t.card, borderWidth: 1},
          label: {show: phase.share * element.clientWidth > 56, formatter: () => percent(phase.share), color: "#fff", textBorderColor: "#000", textBorderWidth: 2}})),
      };
    },
    steps(t, {seconds: values, outliers, all}) {
      const stride = values.length ? all.steps / values.length : 1;
      return {
        tooltip: tooltip(t, {formatter: ({value}) => `step ${Math.round(value[0])}: <b>${seconds(value[1])}</b>${value[2] ? "<br>slow in " + escape(value[2]) : ""}`}),
        legend: legend(t), grid: grid(), dataZoom: [closer({filterMode: "none"})],
        xAxis: axis(t, {type: "value", name: "step", max: "dataMax"}),
        yAxis: axis(t, {type: "value", name: "", min: 0, axisLabel: {color: t.soft, formatter: seconds}}),
        series: [
          {name: "step", type: "scatter", symbolSize: 4, large: false, itemStyle: {color: t.colours[0], opacity: 0.7}, data: values.map((value, i) => [i * stride, value])},
          {name: "outlier", type: "scatter", symbol: "diamond", symbolSize: 13, itemStyle: {color: t.colours[3]}, data: outliers.map((step) => [step.step, step.seconds, step.phase])},
        ],
      };
    },
    histogram(t, {seconds: values, all}) {
      const low = Math.min(...values), bins = 40;
      const high = Math.max(low * 1.001, Math.min(Math.max(...values), 2 * all.p95 - low)); // outliers share the last bin
      const width = (high - low) / bins || 1, counts = new Array(bins).fill(0);
      for (const value of values) counts[Math.min(bins - 1, Math.floor((value - low) / width))] += 1;
      return {
        tooltip: tooltip(t, {formatter: ({dataIndex, value}) => `${seconds(low + dataIndex * width)} ${dataIndex === bins - 1 ? "or more" : "to " + seconds(low + (dataIndex + 1) * width)}<br><b>${value} steps</b>`}),
        grid: grid({top: 14}),
        xAxis: axis(t, {type: "category", data: counts.map((_, i) => seconds(low + i * width) + (i === bins - 1 ? " +" : "")), name: "time of a step"}),
        yAxis: axis(t, {type: "value", name: "steps", nameGap: 46, minInterval: 1}),
        series: [{type: "bar", barCategoryGap: "8%", itemStyle: {color: t.colours[0]}, data: counts}],
      };
    },
    timeline(t, {values, units}, element) {
      const kinds = [...new Set(Object.values(units))], at = values.seconds, height = 150;
      element.style.height = kinds.length * (height + 26) + 96 + "px";
      const names = Object.keys(units).filter((name) => values[name]), title = (name) => name.replaceAll("_", " ");
      const hidden = names.filter((name) => /^(cpu|gpu)\d+/.test(name)); // one of many: to be picked in the legend
      return {
        legend: {...legend(t), selected: Object.fromEntries(hidden.map((name) => [title(name), false]))},
        color: t.colours, axisPointer: {link: [{xAxisIndex: "all"}]},
        tooltip: tooltip(t, {trigger: "axis", formatter: (points) => `${short(points[0].value[0])} s<br>` + points.map((p) => `${escape(p.seriesName)}: <b>${escape(short(p.value[1]))} ${escape(units[names[p.seriesIndex]])}</b>`).join("<br>")}),
        dataZoom: [closer({xAxisIndex: kinds.map((_, i) => i)}), {type: "slider", xAxisIndex: kinds.map((_, i) => i), height: 18, bottom: 4, textStyle: {color: t.soft}}],
        grid: kinds.map((_, i) => ({left: 72, right: 18, top: 56 + i * (height + 26), height})),
        xAxis: kinds.map((_, i) => axis(t, {type: "value", gridIndex: i, min: at[0], max: at[at.length - 1], axisLabel: {color: t.soft, show: i === kinds.length - 1, showMinLabel: false, showMaxLabel: false}})),
        yAxis: kinds.map((kind, i) => axis(t, {type: "value", gridIndex: i, name: kind, nameGap: 54, min: 0, splitNumber: 3, ...(kind === "%" ? {interval: 25, max: ({max}) => Math.max(100, max)} : {}), axisLabel: {color: t.soft, formatter: short}})),
        series: names.map((name, i) => ({name: title(name), type: "line", lineStyle: {width: 1.5, type: i < t.colours.length ? "solid" : "dashed"}, showSymbol: false, connectNulls: false, xAxisIndex: kinds.indexOf(units[name]), yAxisIndex: kinds.indexOf(units[name]),
          data: at.map((second, i) => [second, values[name][i]])})),
      };
    },
    trend(t, runs) {
      const fill = (run) => run.same_photos ? t.colours[run.this ? 3 : 0] : t.card, line = (run) => t.colours[run.this ? 3 : 0];
      const interval = (params, api) => {
        const [low, high] = [api.coord([api.value(0), api.value(1)]), api.coord([api.value(0), api.value(2)])];
        return {type: "line", shape: {x1: low[0], y1: low[1], x2: high[0], y2: high[1]}, style: {stroke: t.soft, lineWidth: 2}};
      };
      return {
        tooltip: tooltip(t, {formatter: ({dataIndex}) => `${escape(runs[dataIndex].run)}, ${escape(runs[dataIndex].date)}<br><b>${percent(runs[dataIndex].accuracy)}</b>, ${runs[dataIndex].accepted ? "accepted" : "rejected"}${runs[dataIndex].same_photos ? "" : "<br>tested on other photos"}`}),
        grid: grid({top: 14, bottom: runs.length > 5 ? 64 : 30}),
        xAxis: axis(t, {type: "category", data: runs.map((run) => run.date), axisLabel: {color: t.soft, rotate: runs.length > 5 ? 35 : 0, hideOverlap: true}}),
        yAxis: axis(t, {type: "value", scale: true, max: ({max}) => Math.min(1, Math.ceil(100 * max + 2) / 100), name: "test accuracy", nameGap: 46, axisLabel: {color: t.soft, formatter: mark}}),
        series: [
          {type: "custom", silent: true, renderItem: interval, encode: {x: 0, y: [1, 2]},
            data: runs.map((run, i) => [i, run.interval ? run.interval.low : run.accuracy, run.interval ? run.interval.high : run.accuracy])},
          {type: "line", z: 3, symbolSize: 11, symbol: (_, {dataIndex}) => runs[dataIndex].accepted ? "circle" : "diamond", lineStyle: {color: t.line},
            data: runs.map((run) => ({value: run.accuracy, itemStyle: {color: fill(run), borderColor: line(run), borderWidth: 2}}))},
        ],
      };
    },
    answered(t, {curve, accuracy}) {
      return {
        tooltip: tooltip(t, {trigger: "axis", formatter: ([point]) => `${percent(point.value[0])} answered<br><b>right: ${percent(point.value[1])}</b>`}),
        grid: grid({top: 14}),
        xAxis: axis(t, {type: "value", min: 0, max: 1, name: "share of the photos that are answered", axisLabel: {color: t.soft, formatter: mark}}),
        yAxis: axis(t, {type: "value", scale: true, max: 1, name: "accuracy", nameGap: 46, axisLabel: {color: t.soft, formatter: mark}}),
        series: [{type: "line", symbolSize: 6, color: t.colours[0], data: curve.map((point) => [point.answered, point.accuracy]),
          markLine: {silent: true, symbol: "none", lineStyle: {color: t.soft, type: "dashed"}, label: {formatter: "all answered", color: t.soft, position: "insideStartTop"}, data: [{yAxis: accuracy}]}}],
      };
    },
    dataset(t, classes) {
      const many = classes.length > 30;
      return {
        color: t.colours, legend: legend(t), tooltip: tooltip(t, {trigger: "axis", axisPointer: {type: "shadow"},
          formatter: (points) => `<b>${escape(points[0].name)}</b><br>` + points.map((p) => `${escape(p.seriesName)}: ${p.value}`).join("<br>")}),
        grid: grid({bottom: many ? 40 : 92}), dataZoom: many ? [closer({})] : [],
        xAxis: axis(t, {type: "category", data: classes.map((entry) => entry.name), axisLabel: {color: t.soft, rotate: classes.length > 6 ? 45 : 0, formatter: (name) => cut(name, 16), show: !many}}),
        yAxis: axis(t, {type: "value", name: "photos", nameGap: 46, minInterval: 1}),
        series: ["train", "validation", "test"].map((split) => ({name: split, type: "bar", stack: "photos", data: classes.map((entry) => entry[split])})),
      };
    },
  };

  function lines(t, curves, name, columns, max) {
    const kept = {silent: true, symbol: "none", lineStyle: {color: t.soft}, label: {formatter: "kept", color: t.soft}, data: [{xAxis: curves.kept}]};
    return {
      legend: legend(t), grid: grid(), tooltip: tooltip(t, {trigger: "axis",
        formatter: (points) => `epoch ${points[0].value[0]}<br>` + points.map((p) => `${escape(p.seriesName)}: <b>${p.value[1] === null ? "not a number" : short(p.value[1])}</b>`).join("<br>")}),
      xAxis: axis(t, {type: "value", name: "epoch", min: 1, max: Math.max(2, curves.epoch[curves.epoch.length - 1]), minInterval: 1}),
      yAxis: axis(t, {type: "value", name, nameGap: 46, scale: true, max, axisLabel: {color: t.soft, formatter: short}}),
      series: columns.map(({title, values, style}, i) => ({name: title, type: "line", symbolSize: 5, color: t.colours[style ? 0 : 1], lineStyle: {type: style || "solid", width: 2},
        data: curves.epoch.map((epoch, j) => [epoch, values[j]]), markLine: i ? undefined : kept})),
    };
  }

  const drawn = new Map();
  function drawAll() {
    for (const element of document.querySelectorAll("[data-chart]")) {
      if (element.closest("details:not([open])")) continue; // folded away: drawn when it is opened
      const values = data[element.dataset.source];
      let option;
      try {
        option = draw[element.dataset.chart](theme(), values, element);
      } catch (error) { // half-written figures must not take the other charts and the tables with them
        element.textContent = `This chart could not be drawn: ${error.message}`;
        continue;
      }
      drawn.get(element)?.dispose();
      // Vectors print sharply and scale; thousands of cells are faster as pixels.
      const renderer = element.dataset.chart === "confusion" && values.cells.length > 2000 ? "canvas" : "svg";
      const chart = echarts.init(element, null, {renderer});
      chart.setOption({textStyle: {fontFamily: "system-ui, sans-serif"}, animationDuration: 300, ...option});
      if (element.dataset.chart === "confusion") chart.on("click", ({value}) => showCell(value[1], value[0]));
      drawn.set(element, chart);
    }
  }
  drawAll();
  for (const details of document.querySelectorAll("details")) {
    details.addEventListener("toggle", () => {
      if (details.open && !printing && [...details.querySelectorAll("[data-chart]")].some((element) => !drawn.has(element))) drawAll();
    });
  }
  // A link to a folded section opens it.
  const unfold = () => {
    const folded = location.hash && document.getElementById(location.hash.slice(1))?.querySelector("details.fold");
    if (folded) folded.open = true;
  };
  addEventListener("hashchange", unfold);
  unfold();
  dark.addEventListener("change", drawAll);
  addEventListener("resize", () => drawn.forEach((chart) => chart.resize()));
  // On paper: light colours, and the numbers that are folded away on the screen.
  let unfolded = [];
  addEventListener("beforeprint", () => {
    printing = true;
    unfolded = [...document.querySelectorAll("details:not([open])")];
    for (const details of unfolded) details.open = true;
    drawAll();
  });
  addEventListener("afterprint", () => {
    printing = false;
    for (const details of unfolded) details.open = false;
    drawAll();
  });

  // The mistakes by their classes, and those of one cell of the confusion matrix.
  const list = document.getElementById("mistakes-list"), items = list ? [...list.children] : [];
  const cell = document.getElementById("cell");
  const of = (item, row, column) => (row === "" || item.dataset.row === String(row)) && (column === "" || item.dataset.column === String(column));
  let open = items.filter((item) => !item.hidden).length;
  const select = (name) => document.getElementById(`mistakes-${name}`);
  function filter() {
    const chosen = items.filter((item) => of(item, select("row").value, select("column").value));
    const shown = select("row").value || select("column").value ? chosen : chosen.slice(0, open);
    for (const item of items) item.hidden = !shown.includes(item);
    select("count").textContent = `${shown.length} of ${chosen.length} mistakes are shown.`;
    if (select("more")) select("more").hidden = shown.length === chosen.length;
  }
  if (list) {
    for (const name of ["row", "column"]) select(name).addEventListener("change", filter);
    select("more")?.addEventListener("click", () => { open = items.length; filter(); });
  }
  function showCell(row, column) {
    if (!cell || row === column) return;
    const {classes, cells} = data.confusion, count = cells.find(([x, y]) => x === column && y === row)?.[2] ?? 0;
    const photos = items.filter((item) => of(item, row, column)).map((item) => item.cloneNode(true));
    for (const photo of photos) photo.hidden = false;
    document.getElementById("cell-title").textContent = `${classes[row]}, taken for ${classes[column]}: ${count}`;
    document.getElementById("cell-photos").replaceChildren(...photos);
    document.getElementById("cell-more").textContent = photos.length < count ? `${count - photos.length} more are only in results/test_predictions.csv.` : "";
    cell.showModal();
  }
  for (const button of document.querySelectorAll("button.cell")) {
    button.addEventListener("click", () => showCell(Number(button.dataset.row), Number(button.dataset.column)));
  }
  document.getElementById("cell-close")?.addEventListener("click", () => cell.close());
  cell?.addEventListener("click", (event) => { if (event.target === cell) cell.close(); }); // beside the dialogue

  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    [...table.tHead.rows[0].cells].forEach((cell, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...cell.childNodes);
      cell.append(button);
      button.addEventListener("click", () => {
        const up = cell.getAttribute("aria-sort") !== "ascending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        cell.setAttribute("aria-sort", up ? "ascending" : "descending");
        const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
        const number = (text) => text === "" || text === "–" ? NaN : Number(text.replaceAll(",", ""));
        const rows = [...body.rows].map((row) => ({row, text: key(row), value: number(key(row))}));
        const numeric = rows.some((entry) => !Number.isNaN(entry.value)) && rows.every((entry) => !Number.isNaN(entry.value) || entry.text === "" || entry.text === "–");
        rows.sort((a, b) => {
          if (!numeric) return (up ? 1 : -1) * a.text.localeCompare(b.text, undefined, {numeric: true});
          if (Number.isNaN(a.value) || Number.isNaN(b.value)) return Number.isNaN(a.value) - Number.isNaN(b.value); // empty ones last
          return (up ? 1 : -1) * (a.value - b.value);
        });
        body.append(...rows.map((entry) => entry.row));
      });
    });
  }
})();
